// SPDX-License-Identifier: MIT

// An HTTP server under load, in one program: a listener whose connections are socket pairs, since that is what works where the
// network is off.  calls REQUESTS CLIENTS
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
)

type pairs struct{ connections chan net.Conn }

func (p *pairs) Accept() (net.Conn, error) {
	connection, ok := <-p.connections
	if !ok {
		return nil, io.EOF
	}
	return connection, nil
}
func (p *pairs) Close() error   { return nil }
func (p *pairs) Addr() net.Addr { return &net.UnixAddr{Name: "pair", Net: "unix"} }

func end(fd int, name string) net.Conn {
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		panic(err)
	}
	return connection
}

func (p *pairs) dial() net.Conn {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	p.connections <- end(fds[0], "server")
	return end(fds[1], "client")
}

func client(p *pairs, requests int) {
	connection := p.dial()
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for i := 0; i < requests; i++ {
		fmt.Fprintf(connection, "GET /%d HTTP/1.1\r\nHost: pair\r\n\r\n", i)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		if len(body) == 0 || response.StatusCode != 200 {
			panic("a wrong answer")
		}
	}
}

func main() {
	requests, _ := strconv.Atoi(os.Args[1])
	clients, _ := strconv.Atoi(os.Args[2])
	p := &pairs{make(chan net.Conn)}
	go http.Serve(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile("/etc/hostname")
		if err != nil {
			text = []byte("none")
		}
		fmt.Fprintf(w, "%s says: %s", text, r.URL.Path)
	}))
	var all sync.WaitGroup
	for i := 0; i < clients; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			client(p, requests/clients)
		}()
	}
	all.Wait()
	fmt.Println("served", requests)
}
