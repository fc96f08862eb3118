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

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	crcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/controllers"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/replica"
	"github.com/edgesync/edgesync/internal/version"
	"github.com/edgesync/edgesync/internal/watch"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(syncv1alpha1.AddToScheme(scheme))
	return scheme
}

// gcPercent is how much garbage there may be, in percent of what lives: half of the default
// of Go. What thousands of idle sessions hold lives for days, and hardly any garbage is made.
const gcPercent = 50

// collectGarbage has the environment variable GOGC decide, as with every Go program, and
// gcPercent without it.
func collectGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// run runs the manager until ctx is done.
func run(ctx context.Context, o *options) error {
	if err := o.validate(); err != nil {
		return err
	}
	collectGarbage()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.log)))
	ctrl.Log.Info("Starting", "version", version.Version, "replica", o.replica)
	config, err := restConfig(o.kubeconfig)
	if err != nil {
		return err
	}
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	if err := addComponents(ctx, mgr, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	load := ctrl.GetConfig
	if kubeconfig != "" {
		load = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", kubeconfig) }
	}
	config, err := load()
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
	// The API server's own priority and fairness bounds what the manager asks.
	config.QPS, config.Burst = -1, -1
	return config, nil
}

func newManager(config *rest.Config, o *options) (ctrl.Manager, error) {
	metrics := metricsserver.Options{BindAddress: o.metricsBind, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        newScheme(),
		Metrics:                       metrics,
		HealthProbeBindAddress:        o.healthBind,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "manager.sync.edgesync.io",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		PprofBindAddress:              o.pprofBind,
		Cache:                         crcache.Options{DefaultTransform: crcache.TransformStripManagedFields()},
		// Secrets are read one by one, and only those of joining nodes: no cache, no list.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.Namespace{}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the manager: %w", err)
	}
	return mgr, mgr.AddHealthzCheck("ping", healthz.Ping)
}

// addComponents adds the reconcilers and the hub, and brings them together.
func addComponents(ctx context.Context, mgr ctrl.Manager, o *options) error {
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	id, err := loadIdentity(ctx, direct, o)
	if err != nil {
		return err
	}
	epoch, err := clusterEpoch(ctx, direct)
	if err != nil {
		return err
	}

	trigger := controllers.NewStatusTrigger()
	index := desired.NewIndex(trigger.OnSource)
	watches, err := watch.New(watch.Options{
		Config: mgr.GetConfig(), HTTPClient: mgr.GetHTTPClient(), Index: index,
		OnChange: trigger.OnSource, Log: mgr.GetLogger().WithName("watch"),
	})
	if err != nil {
		return err
	}
	gate := admission.NewGate(mgr.GetClient(), direct)
	nodes, err := hub.New(hub.Options{
		Index: index, Observer: trigger, ClusterEpoch: epoch, Admit: admitTo(gate, id.authority), Info: id.info, Current: currentVersion(direct),
		MaxNodes: o.hub.maxNodes, Heartbeat: o.hub.heartbeat, Log: mgr.GetLogger().WithName("hub"),
	})
	if err != nil {
		return err
	}
	replicas, err := newReplicas(mgr, o)
	if err != nil {
		return err
	}
	primed := make(chan struct{})
	if err := controllers.Setup(ctx, mgr, controllers.Options{
		Index: index, Watches: watches, Fleet: fleet{nodes}, Trigger: trigger, Replicas: replicas, Replica: o.replica, Primed: primed,
		RenewalGrace: o.hub.renewalGrace, NodeBytesPerSecond: o.hub.nodeRate,
	}); err != nil {
		return err
	}
	return errors.Join(
		mgr.Add(replicas),
		admission.Watch(mgr, nodes.Readmit),
		mgr.Add(watches),
		mgr.Add(id.watcher(mgr, func() { nodes.Announce(); nodes.ReadmitAll() })),
		mgr.Add(newServer(mgr, o, nodes, direct, id, primed)),
		addQuery(mgr, o, direct, id, nodes, index, replicas.Address),
		mgr.AddReadyzCheck("hub", readyOnce(primed)))
}

// newReplicas makes what this replica shows the others of itself, and sees of them.
func newReplicas(mgr ctrl.Manager, o *options) (*replica.Group, error) {
	leases, err := coordinationv1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return replica.New(replica.Options{
		Leases: leases.Leases(o.namespace), Name: o.replica, Address: o.query.address, Log: mgr.GetLogger().WithName("replica"),
	})
}

// readyOnce passes once nodes are served, whichever replica leads.
func readyOnce(primed <-chan struct{}) healthz.Checker {
	return func(*http.Request) error {
		select {
		case <-primed:
			return nil
		default:
			return errors.New("what nodes should hold has not been worked out yet")
		}
	}
}

// fleet is the hub as the reconcilers want it.
type fleet struct{ *hub.Hub }

// Node converts the state of a session.
func (f fleet) Node(name string) (controllers.NodeState, bool) {
	state, ok := f.Hub.Node(name)
	return controllers.NodeState(state), ok
}

// Waiting finds the deletions that wait for a rollout.
func (f fleet) Waiting(name string) []object.Key {
	var keys []object.Key
	f.Inventory(name, func(o delivery.Object) {
		if o.Stage == delivery.StageWaiting && o.Want.Object == nil {
			keys = append(keys, o.Key)
		}
	})
	return keys
}

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

// clusterEpoch identifies the cluster by the uid of its oldest namespace.
func clusterEpoch(ctx context.Context, reader client.Reader) (string, error) {
	var namespace corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &namespace); err != nil {
		return "", fmt.Errorf("read the namespace %s, which identifies the cluster: %w", metav1.NamespaceSystem, err)
	}
	return string(namespace.UID), nil
}

// currentVersion is where the API server is: a list with no resourceVersion is answered with
// the latest.
func currentVersion(direct client.Client) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		var nodes syncv1alpha1.EdgeNodeList
		err := direct.List(ctx, &nodes, client.Limit(1))
		return nodes.ResourceVersion, err
	}
}

// admitTo is the gate as the hub wants it. The certificate was verified when the peer
// connected, but its CA may be trusted no longer.
func admitTo(gate *admission.Gate, authority *pki.Authority) func(context.Context, pki.Peer) error {
	return func(ctx context.Context, peer pki.Peer) error {
		if authority.Verify(peer.Certificate, time.Now()) != nil {
			return &hub.Refusal{Status: http.StatusForbidden, Message: "the CA of the certificate is not trusted any longer: join again"}
		}
		err := gate.Admit(ctx, peer.Node)
		if refused := (*admission.Refused)(nil); errors.As(err, &refused) {
			return &hub.Refusal{Status: http.StatusForbidden, Message: refused.Message}
		}
		return err
	}
}

func newServer(mgr ctrl.Manager, o *options, h *hub.Hub, direct client.Client, id *identity, ready <-chan struct{}) *hub.Server {
	enrollment := enroll.Config{
		CA:           id.authority,
		NodeLifetime: o.hub.nodeLifetime,
		RenewalGrace: o.hub.renewalGrace,
		Client:       direct,
		Namespace:    o.namespace,
		Recorder:     mgr.GetEventRecorder("edgesync-enroll"),
		Log:          mgr.GetLogger().WithName("enroll"),
		Now:          time.Now,
	}
	return &hub.Server{
		Hub:        h,
		Join:       enroll.NewJoinHandler(enrollment),
		Renew:      enroll.NewRenewHandler(enrollment),
		Address:    o.hub.bind,
		MaxPending: o.hub.maxPending,
		TLS:        pki.ServerTLSConfig(id.serving),
		Ready:      ready,
		Log:        mgr.GetLogger().WithName("hub"),
	}
}
