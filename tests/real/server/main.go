package main

import (
	_ "go.etcd.io/etcd/client/v3"
	_ "go.etcd.io/etcd/etcdutl/v3/snapshot"
	_ "go.etcd.io/etcd/server/v3/embed"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/util/keyutil"
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "go.uber.org/zap"
)

func main() {}
