// SPDX-License-Identifier: MIT
// Goroutines, timers, a child process, files: what the Go runtime asks of a kernel.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

func main() {
	var wait sync.WaitGroup
	results := make(chan int, 100)
	for i := 0; i < 100; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			time.Sleep(time.Duration(n%5) * time.Millisecond)
			results <- n * n
		}(i)
	}
	wait.Wait()
	close(results)
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("sum", sum)
	ticker := time.NewTicker(2 * time.Millisecond)
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	ticker.Stop()
	select {
	case <-time.After(10 * time.Millisecond):
		fmt.Println("timer")
	}
	stop := make(chan bool)
	go func() { // a loop without calls: the scheduler must preempt it by a signal
		for n := 0; ; n++ {
			if n < 0 {
				stop <- true
			}
		}
	}()
	time.Sleep(30 * time.Millisecond)
	runtime.GC()
	out, err := exec.Command("echo", "from a child").Output()
	fmt.Print(string(out), err, "\n")
	data, err := os.ReadFile("/etc/os-release")
	fmt.Println(len(data) > 0, err)
	_, err = os.ReadFile("/no/such/file")
	fmt.Println(err)
	defer func() { fmt.Println("recovered:", recover()); os.Exit(4) }()
	var p *int
	*p = 1
}
