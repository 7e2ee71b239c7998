package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

// The key under which kube-apiserver publishes compactions. Its watch cache forgets the list
// snapshots that continue tokens read from only when this key says so.
const compactRevKey = "compact_rev_key"

const requestTimeout = 30 * time.Second

// clientConfig is for commands that call once and end. Errors reach the caller as results; what
// gRPC would log besides is its own change of connection at the start, which reads like a failure.
func clientConfig(endpoint string) clientv3.Config {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	return clientv3.Config{
		Endpoints:   []string{endpoint},
		DialTimeout: requestTimeout,
		Logger:      zap.NewNop(),
	}
}

func runCompact(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	endpoint := flags.String("etcd", "", "`URL` of the etcd")
	if err := errors.Join(parse(flags, args, "etcd"), noArguments(flags)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	client, err := clientv3.New(clientConfig(*endpoint))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", *endpoint, err)
	}
	defer client.Close()

	current, err := client.Get(ctx, compactRevKey)
	if err != nil {
		return fmt.Errorf("read the revision of %s: %w", *endpoint, err)
	}
	// The write below takes at least the next revision, so compacting there forgets every
	// revision that anyone has read so far, the current one included.
	revision := current.Header.Revision + 1
	if _, err := client.Put(ctx, compactRevKey, strconv.FormatInt(revision, 10)); err != nil {
		return fmt.Errorf("announce the compaction at %d: %w", revision, err)
	}
	if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact at %d: %w", revision, err)
	}
	fmt.Fprintf(os.Stdout, "compacted %d\n", revision)
	return nil
}

func runSnapshot(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	endpoint := flags.String("etcd", "", "`URL` of the etcd")
	out := flags.String("out", "", "`file` to write")
	if err := errors.Join(parse(flags, args, "etcd", "out"), noArguments(flags)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	manager := snapshot.NewV3(zap.NewNop())
	if _, err := manager.Save(ctx, clientConfig(*endpoint), *out); err != nil {
		return fmt.Errorf("save %s to %s: %w", *endpoint, *out, err)
	}
	status, err := manager.Status(*out)
	if err != nil {
		return fmt.Errorf("check %s: %w", *out, err)
	}
	fmt.Fprintf(os.Stdout, "saved %d\n", status.Revision)
	return nil
}

func runRestore(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	in := flags.String("in", "", "snapshot `file`")
	dir := flags.String("dir", "", "data `directory` to make; must not exist, or be empty")
	bump := flags.Uint64("bump", 0, "raise the revision by this much and mark all below as compacted, as a careful operator does; 0 lets it go back")
	if err := errors.Join(parse(flags, args, "in", "dir"), noArguments(flags)); err != nil {
		return err
	}
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        *in,
		OutputDataDir:       *dir,
		Name:                memberName,
		PeerURLs:            []string{memberPeerURL},
		InitialCluster:      memberName + "=" + memberPeerURL,
		InitialClusterToken: "tidings",
		RevisionBump:        *bump,
		MarkCompacted:       *bump > 0,
	})
	if err != nil {
		return fmt.Errorf("restore %s into %s: %w", *in, *dir, err)
	}
	fmt.Fprintf(os.Stdout, "restored %s\n", *dir)
	return nil
}
