// Command server is everything below the API that the real API server tests need, in one binary:
// an etcd and a kube-apiserver that run in process, and the operations on stored history
// (compact, snapshot, restore) with which a test makes resourceVersions expire or go back.
//
// It listens on loopback only. Logs go to stderr; stdout carries results, one line each.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

const loopback = "127.0.0.1"

// Ports that a test may name again for a restart come from below the range in which the kernel
// picks ports for outgoing connections, so none of those can take the port while its server is down.
const portMin, portMax = 10000, 30000

type command struct {
	name, about string
	run         func(name string, args []string) error
}

var commands = []command{
	{"etcd", "run an etcd", runEtcd},
	{"apiserver", "run a kube-apiserver; its own flags may follow after --", runAPIServer},
	{"compact", "forget all history of an etcd up to now", runCompact},
	{"snapshot", "save the state of a running etcd to a file", runSnapshot},
	{"restore", "make the data directory of a new etcd from a snapshot", runRestore},
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	at := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if at < 0 {
		fmt.Fprintln(os.Stderr, "usage: server COMMAND [flags] (COMMAND -h lists the flags)")
		for _, c := range commands {
			fmt.Fprintf(os.Stderr, "  %-10s %s\n", c.name, c.about)
		}
		os.Exit(2)
	}
	err := commands[at].run(name, os.Args[2:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "server %s: %v\n", name, err)
		os.Exit(1)
	}
}

// parse reads args and insists on a value for each of the required flags.
func parse(flags *flag.FlagSet, args []string, required ...string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("flag --%s is required", name)
		}
	}
	return nil
}

// noArguments refuses what follows the flags: a flag misspelt as an argument would be lost.
func noArguments(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected arguments: %s", strings.Join(flags.Args(), " "))
	}
	return nil
}

// choosePort returns port, or a free one if port is 0.
func choosePort(port int) (int, error) {
	if port != 0 {
		return port, nil
	}
	var err error
	for range 100 {
		candidate := portMin + rand.IntN(portMax-portMin)
		var listener net.Listener
		listener, err = net.Listen("tcp", fmt.Sprintf("%s:%d", loopback, candidate))
		if err == nil {
			return candidate, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// stopAtEOF ends this process as SIGTERM would once standard input closes.
// A test that holds the other end of the pipe cannot leave a server behind, however it dies.
func stopAtEOF() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
}
