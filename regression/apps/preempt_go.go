// SPDX-License-Identifier: MIT
// Goroutines that never call anything, which only a signal can take off their processor, amid collections, timers,
// channels, signals of the program's own, and children.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// A loop without calls, loads or stores that the scheduler could use.
func spin(rounds int) int {
	sum := 0
	for i := 0; i < rounds; i++ {
		sum += i ^ sum
	}
	return sum
}

func main() {
	var stop atomic.Bool
	var spinners, workers sync.WaitGroup
	expected := spin(100000)
	var wrong atomic.Int64
	for i := 0; i < 2*runtime.GOMAXPROCS(0); i++ {
		spinners.Add(1)
		go func() {
			defer spinners.Done()
			for !stop.Load() {
				if spin(100000) != expected { // a register lost on the way to the handler and back
					wrong.Add(1)
				}
			}
		}()
	}

	signals := make(chan os.Signal, 1000)
	signal.Notify(signals, syscall.SIGUSR1)
	var got atomic.Int64
	go func() {
		for range signals {
			got.Add(1)
		}
	}()

	var nodes, ticks, children atomic.Int64
	for i := 0; i < 8; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for j := 0; j < 3; j++ {
				nodes.Add(int64(tree(10).count()))
				runtime.GC()
			}
		}()
	}
	workers.Add(2)
	go func() {
		defer workers.Done()
		for i := 0; i < 30; i++ {
			time.Sleep(time.Millisecond)
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			ticks.Add(1)
		}
	}()
	go func() {
		defer workers.Done()
		for i := 0; i < 5; i++ {
			if exec.Command("/bin/true").Run() == nil {
				children.Add(1)
			}
		}
	}()

	// Ten thousand goroutines in a row.
	first := make(chan int)
	last := first
	for i := 0; i < 10000; i++ {
		next := make(chan int)
		go func(from, to chan int) { to <- 1 + <-from }(last, next)
		last = next
	}
	first <- 0
	fmt.Println("passed on:", <-last)

	workers.Wait()
	stop.Store(true)
	spinners.Wait()
	fmt.Println("nodes:", nodes.Load(), "ticks:", ticks.Load(), "children:", children.Load(), "wrong:", wrong.Load())
	fmt.Println("signals:", got.Load() > 0)
}
