package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// A cluster of one never dials its peer address, so a fixed name serves every member; that lets a
// restored data directory start on any port.
const (
	memberName    = "tidings"
	memberPeerURL = "http://127.0.0.1:2380"
)

func runEtcd(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	dir := flags.String("dir", "", "data `directory`, created if missing")
	port := flags.Int("port", 0, "client port; 0 picks a free one")
	progress := flags.Duration("progress-interval", 5*time.Second, "how often an idle watch is told the revision")
	untilEOF := flags.Bool("until-eof", false, "stop when standard input closes")
	if err := errors.Join(parse(flags, args, "dir"), noArguments(flags)); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *untilEOF {
		stopAtEOF()
	}

	clientPort, err := choosePort(*port)
	if err != nil {
		return err
	}
	client := loopbackURL(clientPort)
	peer, err := url.Parse(memberPeerURL)
	if err != nil {
		return fmt.Errorf("peer address: %w", err)
	}
	config := embed.NewConfig()
	config.Name = memberName
	config.Dir = *dir
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{loopbackURL(0)}
	config.AdvertisePeerUrls = []url.URL{*peer}
	config.InitialCluster = memberName + "=" + memberPeerURL
	config.WatchProgressNotifyInterval = *progress
	config.EnableGRPCGateway = false
	config.LogLevel = "warn"
	config.LogOutputs = []string{"stderr"}
	// A process that dies loses nothing without fsync; only a machine that dies does.
	config.UnsafeNoFsync = true
	// A lone member elects itself; the usual timeouts would only delay that.
	config.TickMs, config.ElectionMs = 10, 100

	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start in %s on port %d: %w", *dir, clientPort, err)
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return fmt.Errorf("start in %s: %w", *dir, err)
	case <-ctx.Done():
		return nil
	}
	fmt.Fprintf(os.Stdout, "ready %s\n", client.String())

	select {
	case err := <-server.Err():
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

func loopbackURL(port int) url.URL {
	return url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", loopback, port)}
}
