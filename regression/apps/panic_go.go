// SPDX-License-Identifier: MIT

// Tracebacks of a Go program: of a panic that is recovered, of a nil dereference, of all goroutines while some are in
// system calls; then it dies by a panic, or with "quit" by SIGQUIT, whose dump a script looks at.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

//go:noinline
func dereference(p *int, depth int) int {
	if depth > 0 {
		return dereference(p, depth-1) + 1
	}
	return *p
}

func traced(n int) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r) + "\n" + string(debug.Stack())
		}
	}()
	dereference(nil, n)
	return "no panic"
}

func reader(fd int) {
	var b [1]byte
	syscall.Read(fd, b[:])
}

func main() {
	var pipe [2]int
	syscall.Pipe(pipe[:])
	for i := 0; i < 2000; i++ { // call sites get rewritten
		syscall.Getppid()
		syscall.Write(pipe[1], []byte{0})
		reader(pipe[0])
	}
	for i := 0; i < 100; i++ {
		text := traced(5)
		if strings.Count(text, "main.dereference(") != 6 || !strings.Contains(text, "nil pointer") {
			fmt.Println("a traceback without its frames:", text)
			os.Exit(1)
		}
	}
	for i := 0; i < 4; i++ {
		go reader(pipe[0])
	}
	readers, calls := 0, 0
	for i := 0; i < 100 && calls < 4; i++ { // a busy machine lets them start late
		time.Sleep(50 * time.Millisecond)
		buffer := make([]byte, 1<<20)
		all := string(buffer[:runtime.Stack(buffer, true)])
		readers, calls = strings.Count(all, "main.reader("), strings.Count(all, "[syscall]")
	}
	fmt.Println("goroutines in read:", readers, calls)
	if len(os.Args) > 1 {
		syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		time.Sleep(time.Second)
	}
	panic("the end")
}
