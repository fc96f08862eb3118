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

package controllers

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/watch"
)

// rig is a running manager without a hub: the fleet is a fake.
type rig struct {
	fleet   *fakeFleet
	trigger *StatusTrigger
	index   *desired.Index
	primed  chan struct{}
	stop    func()
	writes  *writeCounter
}

// testTiming is quicker than the real one, in the same order.
var testTiming = timing{
	statusInterval: 200 * time.Millisecond,
	settle:         time.Second,
	settleAtMost:   5 * time.Second,
	startGrace:     2 * time.Second,
	deletePatience: 4 * time.Second,
}

type rigOption func(*rigOptions)

type rigOptions struct {
	config   *rest.Config
	timing   timing
	name     string
	replicas *fakeReplicas
	elected  <-chan struct{}
}

// asReplica has the manager be one of several, which leads once elected is closed.
func asReplica(name string, of *fakeReplicas, elected <-chan struct{}) rigOption {
	return func(o *rigOptions) { o.name, o.replicas, o.elected = name, of, elected }
}

// withTiming has things take other times.
func withTiming(timing timing) rigOption { return func(o *rigOptions) { o.timing = timing } }

// asUser has the manager act with the rights of a user.
func asUser(user string) rigOption {
	return func(o *rigOptions) {
		o.config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	}
}

// newRig starts a manager and returns when it is primed. It ends with the spec.
func newRig(options ...rigOption) *rig {
	GinkgoHelper()
	o := &rigOptions{config: rest.CopyConfig(env.Config), timing: testTiming, name: "manager-0", replicas: newFakeReplicas()}
	for _, option := range options {
		option(o)
	}
	r := &rig{fleet: newFakeFleet(), trigger: NewStatusTrigger(), primed: make(chan struct{}), writes: &writeCounter{counts: map[string]int{}}}
	r.index = desired.NewIndex(r.trigger.OnSource)
	o.config.QPS = -1
	o.config.Wrap(r.writes.wrap)
	r.fleet.trigger = r.trigger

	skip := true
	mgr, err := ctrl.NewManager(o.config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &skip},
		Logger: GinkgoLogr,
	})
	Expect(err).NotTo(HaveOccurred())
	watches, err := watch.New(watch.Options{
		Config: mgr.GetConfig(), HTTPClient: mgr.GetHTTPClient(), Index: r.index, OnChange: r.trigger.OnSource, Log: GinkgoLogr,
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(mgr.Add(watches)).To(Succeed())
	Expect(Setup(context.Background(), mgr, Options{
		Index: r.index, Watches: watches, Fleet: r.fleet, Trigger: r.trigger, Replicas: o.replicas.as(o.name), Replica: o.name,
		Primed: r.primed, timing: o.timing, elected: o.elected,
	})).To(Succeed())

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
	DeferCleanup(r.stop)
	Eventually(r.primed).Should(BeClosed())
	return r
}

// wants reports what the index has a node hold.
func (r *rig) wants(node, kind, namespace, name string) func() desired.Want {
	return func() desired.Want {
		return r.index.Lookup(node, object.Key{Kind: kind, Namespace: namespace, Name: name})
	}
}

// writeCounter counts the requests that change something, by method and resource path.
type writeCounter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet {
			c.mu.Lock()
			c.counts[r.URL.Path]++
			c.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

// of counts the writes whose path ends in suffix.
func (c *writeCounter) of(suffix string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for path, n := range c.counts {
		if strings.HasSuffix(path, suffix) {
			count += n
		}
	}
	return count
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// fakeFleet is a fleet as a test says it is.
type fakeFleet struct {
	mu      sync.Mutex
	trigger *StatusTrigger
	nodes   map[string]*fakeNode
	// reader finds the uids of EdgeNodes, if they have any.
	reader client.Reader
	rushed bool
}

// fakeNode is a connected node. What is not in progress is in sync.
type fakeNode struct {
	state    NodeState
	progress map[object.Key]delivery.Progress
	failures map[object.Key]delivery.Failure
}

func newFakeFleet() *fakeFleet {
	return &fakeFleet{nodes: map[string]*fakeNode{}, reader: admin}
}

func (f *fakeFleet) Progress(node string, keys []object.Key) (delivery.Progress, []delivery.Failure, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[node]
	if n == nil {
		return delivery.InProgress, nil, false
	}
	worst := delivery.InSync
	var failures []delivery.Failure
	for _, key := range keys {
		worst = max(worst, n.progress[key])
		if failure, ok := n.failures[key]; ok {
			worst = delivery.Failing
			failures = append(failures, failure)
		}
	}
	return worst, failures, true
}

func (f *fakeFleet) Node(node string) (NodeState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[node]
	if n == nil {
		return NodeState{}, false
	}
	state := n.state
	if state.Peer.UID == "" {
		state.Peer.UID = f.uidOf(node)
	}
	return state, true
}

// uidOf is the uid of the EdgeNode as it is, with which a session is the node's own.
func (f *fakeFleet) uidOf(node string) string {
	if f.reader == nil {
		return ""
	}
	edgeNode := &syncv1alpha1.EdgeNode{}
	if err := f.reader.Get(context.Background(), client.ObjectKey{Name: node}, edgeNode); err != nil {
		return "none"
	}
	return string(edgeNode.UID)
}

// connect begins a session of a node with nothing to do.
func (f *fakeFleet) connect(node, session string) { f.connectSaying(node, session, nil) }

// connectSaying begins a session of a node that says something of itself.
func (f *fakeFleet) connectSaying(node, session string, labels map[string]string) {
	f.mu.Lock()
	f.nodes[node] = &fakeNode{
		state: NodeState{
			SessionID: session, ConnectedTime: time.Now(), RemoteAddress: "192.0.2.1:1", AgentVersion: "v1", BootID: "boot",
			Labels: labels,
		},
		progress: map[object.Key]delivery.Progress{},
		failures: map[object.Key]delivery.Failure{},
	}
	f.mu.Unlock()
	f.trigger.OnNodeEvent(node)
}

func (f *fakeFleet) leave(node string) {
	f.mu.Lock()
	delete(f.nodes, node)
	f.mu.Unlock()
	f.trigger.OnNodeEvent(node)
}

// report changes what is known of a connected node and tells of the keys.
func (f *fakeFleet) report(node string, mutate func(*fakeNode), keys ...object.Key) {
	f.mu.Lock()
	mutate(f.nodes[node])
	f.mu.Unlock()
	f.trigger.OnProgress(node, keys)
}

// sumsUp sets the summary of a node.
func (f *fakeFleet) sumsUp(node string, summary delivery.Summary) {
	f.report(node, func(n *fakeNode) { n.state.Summary = summary })
}

// is sets the progress of keys on a node.
func (f *fakeFleet) is(node string, progress delivery.Progress, keys ...object.Key) {
	f.report(node, func(n *fakeNode) {
		for _, key := range keys {
			n.progress[key] = progress
			delete(n.failures, key)
		}
	}, keys...)
}

// fails sets the failure of a key on a node.
func (f *fakeFleet) fails(node string, reason delivery.Reason, message string, key object.Key) {
	f.report(node, func(n *fakeNode) {
		n.failures[key] = delivery.Failure{Key: key, Ref: key.Ref("v1"), Reason: reason, Message: message, Since: time.Now()}
	}, key)
}

// Waiting implements Fleet.
func (f *fakeFleet) Waiting(node string) []object.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []object.Key
	if n := f.nodes[node]; n != nil {
		for key, progress := range n.progress {
			if progress == delivery.Waiting {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// End implements Fleet.
func (f *fakeFleet) End(node, session string) {
	f.mu.Lock()
	n := f.nodes[node]
	found := n != nil && n.state.SessionID == session
	f.mu.Unlock()
	if found {
		f.leave(node)
	}
}

// Rushed implements Fleet.
func (f *fakeFleet) Rushed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rushed
}

func (f *fakeFleet) rush(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rushed = on
}

// fakeReplicas are the replicas that live, as a test says.
type fakeReplicas struct {
	mu        sync.Mutex
	alive     map[string]bool
	observers []func(string, bool)
}

func newFakeReplicas(alive ...string) *fakeReplicas {
	f := &fakeReplicas{alive: map[string]bool{}}
	for _, name := range alive {
		f.alive[name] = true
	}
	return f
}

// set has a replica live or not.
func (f *fakeReplicas) set(name string, alive bool) {
	f.mu.Lock()
	f.alive[name] = alive
	observers := slices.Clone(f.observers)
	f.mu.Unlock()
	for _, observe := range observers {
		observe(name, alive)
	}
}

// as is how one replica sees them all.
func (f *fakeReplicas) as(name string) Replicas { return seenBy{f, name} }

type seenBy struct {
	*fakeReplicas
	self string
}

func (s seenBy) Alive(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return name == s.self || s.alive[name]
}

func (s seenBy) OnChange(observer func(string, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, observer)
}

func (seenBy) Synced() <-chan struct{} {
	synced := make(chan struct{})
	close(synced)
	return synced
}

func configMapKey(namespace, name string) object.Key {
	return object.Key{Kind: "ConfigMap", Namespace: namespace, Name: name}
}
