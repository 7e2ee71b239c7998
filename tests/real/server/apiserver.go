package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// The address published in the default/kubernetes Service, which must not be loopback. It is one
// of those reserved for documentation, so that no traffic can come of it; nothing listens there.
const advertiseAddress = "192.0.2.1"

func runAPIServer(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	dir := flags.String("dir", "", "`directory` of certificates, keys, tokens.csv and kubeconfig, created if missing")
	etcd := flags.String("etcd", "", "`URL` of the etcd")
	port := flags.Int("port", 0, "port; 0 picks a free one")
	authorization := flags.String("authorization", "AlwaysAllow", "authorization `mode`, such as RBAC")
	readyTimeout := flags.Duration("ready-timeout", 2*time.Minute, "fail if not ready after this long")
	untilEOF := flags.Bool("until-eof", false, "stop when standard input closes")
	if err := parse(flags, args, "dir", "etcd"); err != nil {
		return err
	}
	if *untilEOF {
		stopAtEOF()
	}
	securePort, err := choosePort(*port)
	if err != nil {
		return err
	}
	files, err := prepare(*dir)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", *dir, err)
	}

	defer klog.Flush()
	apiserver := app.NewAPIServerCommand()
	apiserver.SilenceErrors = true
	apiserver.SetArgs(append([]string{
		"--etcd-servers=" + *etcd,
		"--bind-address=" + loopback,
		"--advertise-address=" + advertiseAddress,
		fmt.Sprintf("--secure-port=%d", securePort),
		"--cert-dir=" + *dir,
		"--token-auth-file=" + files.tokens,
		"--authorization-mode=" + *authorization,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + files.serviceAccountKey,
		"--service-account-key-file=" + files.serviceAccountKey,
		"--service-cluster-ip-range=10.0.0.0/24",
		// Nothing here creates service accounts, and the plugin refuses pods without one.
		"--disable-admission-plugins=ServiceAccount",
		// By default the end of the process waits a minute for open watches to end by themselves.
		"--shutdown-watch-termination-grace-period=1s",
	}, flags.Args()...))

	ended := make(chan error, 1)
	go func() { ended <- apiserver.Execute() }()
	ready := make(chan error, 1)
	url := fmt.Sprintf("https://%s:%d", loopback, securePort)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), *readyTimeout)
		defer cancel()
		ready <- awaitReady(ctx, url, files)
	}()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("kube-apiserver on port %d: %w", securePort, err)
			}
			return nil
		case err := <-ready:
			if err != nil {
				return fmt.Errorf("not ready after %s: %w", *readyTimeout, err)
			}
			fmt.Fprintf(os.Stdout, "ready %s\n", url)
		}
	}
}

type apiserverFiles struct {
	tokens, serviceAccountKey, certificate, kubeconfig string
	token                                              string
}

// prepare makes what is missing in dir, so that a restart keeps the keys and tokens of the first start.
func prepare(dir string) (*apiserverFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files := &apiserverFiles{
		tokens:            filepath.Join(dir, "tokens.csv"),
		serviceAccountKey: filepath.Join(dir, "service-account.key"),
		certificate:       filepath.Join(dir, "apiserver.crt"),
		kubeconfig:        filepath.Join(dir, "kubeconfig"),
	}
	if _, err := os.Stat(files.serviceAccountKey); errors.Is(err, os.ErrNotExist) {
		key, err := keyutil.MakeEllipticPrivateKeyPEM()
		if err != nil {
			return nil, fmt.Errorf("make a service account key: %w", err)
		}
		if err := replaceFile(files.serviceAccountKey, key); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(files.tokens); errors.Is(err, os.ErrNotExist) {
		line := fmt.Sprintf("%s,admin,admin,system:masters\n", rand.Text())
		if err := replaceFile(files.tokens, []byte(line)); err != nil {
			return nil, err
		}
	}
	tokens, err := os.ReadFile(files.tokens)
	if err != nil {
		return nil, err
	}
	var found bool
	if files.token, _, found = strings.Cut(string(tokens), ","); !found {
		return nil, fmt.Errorf("no token in %s", files.tokens)
	}
	return files, nil
}

// awaitReady writes the kubeconfig once the server answers as ready. On failure it tells what the
// server last lacked.
func awaitReady(ctx context.Context, url string, files *apiserverFiles) error {
	last := errors.New("no answer yet")
	for {
		certificate, err := os.ReadFile(files.certificate)
		if err == nil {
			err = checkReady(ctx, url, files.token, certificate)
		}
		if err == nil {
			return writeKubeconfig(url, files, certificate)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func checkReady(ctx context.Context, url, token string, certificate []byte) error {
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host:            url,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: certificate},
	})
	if err != nil {
		return err
	}
	if _, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	// Readiness may come before the default namespace, in which every test begins.
	_, err = client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err
}

func writeKubeconfig(url string, files *apiserverFiles, certificate []byte) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["tidings"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: certificate}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: files.token}
	config.Contexts["tidings"] = &clientcmdapi.Context{Cluster: "tidings", AuthInfo: "admin"}
	config.CurrentContext = "tidings"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode the kubeconfig: %w", err)
	}
	return replaceFile(files.kubeconfig, data)
}

// replaceFile writes beside path and renames, so that a kill never leaves half a file.
func replaceFile(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
