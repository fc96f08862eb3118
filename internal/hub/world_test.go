/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

const epoch = "cluster-1"

const certificateLifetime = 24 * time.Hour

// hubInfo is what the hub says of itself, and what the agents of tests know already.
var hubInfo = &pb.HubInfo{Addresses: []string{"https://hub.example:10443"}, Authorities: [][]byte{[]byte("a certificate")}}

var (
	configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	pods       = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	namespaces = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
)

// world is a hub that serves over TLS, and an index that says what nodes should hold.
type world struct {
	t        testing.TB
	g        *WithT
	ca       *pki.CA
	network  network
	index    *desired.Index
	tables   map[schema.GroupVersionKind]*desired.Table
	observer *observer
	logs     *logs
	options  Options
	hub      *Hub
	// join serves joins, and maxPending is that of the server.
	join       http.Handler
	maxPending int
	stop       func()
	// background are goroutines of the test, which end when its connections do.
	background sync.WaitGroup
}

// newWorld makes a world with three kinds, of which everything is for every node.
func newWorld(t testing.TB, network network, change ...func(*Options)) *world {
	t.Helper()
	current := goleak.IgnoreCurrent()
	w := &world{
		t: t, g: NewWithT(t), network: network,
		index:    desired.NewIndex(nil),
		tables:   map[schema.GroupVersionKind]*desired.Table{},
		observer: newObserver(),
		logs:     &logs{},
		join:     http.NotFoundHandler(),
	}
	var err error
	w.ca, err = pki.NewCA(time.Now())
	w.g.Expect(err).NotTo(HaveOccurred())
	for name, kind := range map[string]schema.GroupVersionKind{"configmaps": configMaps, "pods": pods, "namespaces": namespaces} {
		w.tables[kind] = w.index.Watch(kind)
		w.tables[kind].Replace(nil, "1")
		w.index.SetSource(everywhere(name, kind))
	}
	w.options = Options{
		Index: w.index, Observer: w.observer, ClusterEpoch: epoch, Log: w.logs.logger(),
		Admit: func(context.Context, pki.Peer) error { return nil },
		Info:  func() *pb.HubInfo { return hubInfo },
	}
	for _, c := range change {
		c(&w.options)
	}
	w.start()
	t.Cleanup(func() {
		w.stop()
		_ = w.network.Close()
		w.background.Wait()
		goleak.VerifyNone(t, current)
	})
	return w
}

func everywhere(name string, kind schema.GroupVersionKind) desired.Source {
	namespace := "shop"
	if kind == namespaces {
		namespace = ""
	}
	return desired.Source{
		ID: desired.SourceID{Namespace: namespace, Name: name}, Kind: kind,
		ObjectSelector: labels.Everything(), NodeSelector: labels.Everything(),
	}
}

// start serves a new hub, as after a restart of the manager.
func (w *world) start() {
	w.t.Helper()
	var err error
	w.hub, err = New(w.options)
	w.g.Expect(err).NotTo(HaveOccurred())
	serving, err := pki.NewServingCertificate(pki.NewAuthority(w.ca), []string{"127.0.0.1"}, time.Hour, time.Now)
	w.g.Expect(err).NotTo(HaveOccurred())
	ready := make(chan struct{})
	close(ready)
	server := &Server{
		Hub: w.hub, Join: w.join, Renew: http.NotFoundHandler(), MaxPending: w.maxPending, TLS: pki.ServerTLSConfig(serving),
		Ready: ready, Log: w.options.Log,
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.serve(ctx, w.network) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			w.t.Error("serve:", err)
		}
	})
}

// restart stops the hub and serves another one that knows only the index.
func (w *world) restart(network network) {
	w.t.Helper()
	w.stop()
	_ = w.network.Close()
	w.network = network
	w.start()
}

func (w *world) addNode(name string) { w.index.SetNode(name, nil, desired.NodeSettings{}) }

func (w *world) put(in desired.Item) { w.tables[kindOf(in.Object.Key)].Upsert(in) }

func (w *world) delete(in desired.Item, version string) {
	w.tables[kindOf(in.Object.Key)].Delete(in.Object.Key, version)
}

func kindOf(key object.Key) schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: key.Kind}
}

func (w *world) eventually(actual any) AsyncAssertion {
	w.t.Helper()
	return w.g.Eventually(actual, patience)
}

// settled waits until a node has all that it should have, applied.
func (w *world) settled(node string, count int) {
	w.t.Helper()
	w.eventually(func() (string, error) {
		state, ok := w.hub.Node(node)
		if !ok {
			return "", errors.New("no session")
		}
		s := state.Summary
		return fmt.Sprint(s.Desired, s.Held, s.Pending, s.Failed), nil
	}).Should(Equal(fmt.Sprint(count, count, 0, 0)))
}

func thing(kind schema.GroupVersionKind, name, version, content string) desired.Item {
	key := object.Key{Kind: kind.Kind, Namespace: "shop", Name: name}
	if kind == namespaces {
		key.Namespace = ""
	}
	payload := []byte(content)
	return desired.Item{Object: &object.Object{
		Key: key, APIVersion: "v1", Resource: strings.ToLower(kind.Kind) + "s",
		UID: "uid-" + name, Version: version, Digest: object.DigestOf(payload), Payload: payload,
	}}
}

func configMap(name, version, content string) desired.Item {
	return thing(configMaps, name, version, content)
}

// certificate is that of a node, signed by ca.
func certificate(t testing.TB, ca *pki.CA, node string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.IssueNode(pki.Node{Name: node, UID: "uid", Join: 1}, key.Public(), certificateLifetime, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// observer notes what it is told.
type observer struct {
	mu       sync.Mutex
	events   map[string]int
	progress map[string]map[object.Key]int
}

func newObserver() *observer {
	return &observer{events: map[string]int{}, progress: map[string]map[object.Key]int{}}
}

func (o *observer) OnNodeEvent(node string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events[node]++
}

func (o *observer) OnProgress(node string, keys []object.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.progress[node] == nil {
		o.progress[node] = map[object.Key]int{}
	}
	for _, key := range keys {
		o.progress[node][key]++
	}
}

func (o *observer) nodeEvents(node string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events[node]
}

func (o *observer) progressOf(node string, key object.Key) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.progress[node][key]
}

// logs keeps the lines that the hub logs.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) logger() logr.Logger {
	return funcr.NewJSON(func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line)
	}, funcr.Options{})
}

// of are the lines that contain all of words.
func (l *logs) of(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.lines), func(line string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	})
}
