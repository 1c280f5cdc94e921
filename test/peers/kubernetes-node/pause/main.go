// Program pause holds the namespaces of a Pod, and those of a node: it waits to be ended, and takes leave of processes
// whose parents are gone.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended, orphans := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(orphans, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
			return
		case <-orphans:
			for {
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err == nil && pid <= 0 || err == syscall.ECHILD {
					break
				}
			}
		}
	}
}
