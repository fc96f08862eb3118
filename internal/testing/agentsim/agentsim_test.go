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

package agentsim

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

var configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

func hubInfo() *pb.HubInfo { return &pb.HubInfo{Authorities: [][]byte{[]byte("a certificate")}} }

type nobody struct{}

func (nobody) OnNodeEvent(string)              {}
func (nobody) OnProgress(string, []object.Key) {}

// serve runs a hub at which every node should hold the objects of table.
func serve(t *testing.T, change ...func(*hub.Options)) (h *hub.Hub, table *desired.Table, address string, ca *pki.CA) {
	g := NewWithT(t)
	index := desired.NewIndex(nil)
	table = index.Watch(configMaps)
	index.SetSource(desired.Source{
		ID: desired.SourceID{Namespace: "shop", Name: "all"}, Kind: configMaps,
		ObjectSelector: labels.Everything(), NodeSelector: labels.Everything(),
	})
	index.SetNode("edge-1", nil, desired.NodeSettings{})
	options := hub.Options{
		Index: index, Observer: nobody{}, ClusterEpoch: "cluster", Log: logr.Discard(),
		Admit: func(context.Context, pki.Peer) error { return nil },
		Info:  hubInfo,
	}
	for _, c := range change {
		c(&options)
	}
	h, err := hub.New(options)
	g.Expect(err).NotTo(HaveOccurred())
	ca, err = pki.NewCA(time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	certificate, err := pki.NewServingCertificate(pki.NewAuthority(ca), []string{"127.0.0.1"}, time.Hour, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(tls.NewListener(patient.Listener{Listener: listener}, pki.ServerTLSConfig(certificate)))
	}()
	t.Cleanup(func() {
		h.Drain()
		server.Close()
		g.Expect(<-served).To(MatchError(http.ErrServerClosed))
	})
	return h, table, listener.Addr().String(), ca
}

func configMap(name, version string) desired.Item {
	payload := []byte(`{"version":"` + version + `"}`)
	return desired.Item{Object: &object.Object{
		Key:        object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name},
		APIVersion: "v1", Resource: "configmaps",
		UID: "uid-" + name, Version: version, Digest: object.DigestOf(payload), Payload: payload,
	}}
}

func TestFollowsARealHub(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("session", func(t *testing.T) {
		g := NewWithT(t)
		h, table, address, ca := serve(t)
		table.Replace([]desired.Item{configMap("a", "1"), configMap("b", "2")}, "2")
		config, err := TLSConfig(ca, pki.Node{Name: "edge-1", UID: "uid", Join: 1})
		g.Expect(err).NotTo(HaveOccurred())

		messages := make(chan string, 100)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			err := Run(ctx, Config{Hub: address, TLS: config, OnMessage: func(_ time.Time, m *pb.HubMessage) {
				if m.GetBookmark() == nil { // how often it comes is the hub's business
					messages <- describe(m)
				}
			}})
			messages <- fmt.Sprint("end ", err)
		}()
		next := func() (message string) {
			t.Helper()
			g.Eventually(messages, time.Minute).Should(Receive(&message))
			return message
		}
		settled := func(count int) {
			t.Helper()
			g.Eventually(func() string {
				state, _ := h.Node("edge-1")
				s := state.Summary
				return fmt.Sprint(s.Desired, s.Held, s.Pending, s.Failed)
			}, time.Minute).Should(Equal(fmt.Sprint(count, count, 0, 0)))
		}
		g.Expect(next()).To(Equal("Welcome"))
		g.Expect(next()).To(Equal("HubInfo"))
		g.Expect([]string{next(), next()}).To(ConsistOf("Put a 1", "Put b 2"))
		settled(2)
		table.Upsert(configMap("a", "3"))
		g.Expect(next()).To(Equal("Put a 3"))
		table.Delete(configMap("b", "2").Object.Key, "4")
		g.Expect(next()).To(Equal("Delete b"))
		settled(1)
		cancel()
		g.Expect(next()).To(Equal("end <nil>"))
	})
}

func describe(m *pb.HubMessage) string {
	switch body := m.GetBody().(type) {
	case *pb.HubMessage_Put:
		return "Put " + body.Put.GetKey().GetName() + " " + body.Put.GetVersion()
	case *pb.HubMessage_Delete:
		return "Delete " + body.Delete.GetKey().GetName()
	case *pb.HubMessage_Welcome:
		return "Welcome"
	case *pb.HubMessage_Bookmark:
		return "Bookmark"
	case *pb.HubMessage_HubInfo:
		return "HubInfo"
	default:
		return fmt.Sprintf("%T", body)
	}
}

func TestSaysWhyThereIsNoSession(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("session", func(t *testing.T) {
		g := NewWithT(t)
		var revoked atomic.Bool
		h, _, address, ca := serve(t, func(o *hub.Options) {
			o.Admit = func(context.Context, pki.Peer) error {
				if revoked.Load() {
					return &hub.Refusal{Status: http.StatusForbidden, Message: "the node is revoked"}
				}
				return nil
			}
		})
		config, err := TLSConfig(ca, pki.Node{Name: "edge-1", UID: "uid", Join: 1})
		g.Expect(err).NotTo(HaveOccurred())
		ended := make(chan error, 1)
		go func() { ended <- Run(t.Context(), Config{Hub: address, TLS: config}) }()
		g.Eventually(h.Sessions, time.Minute).Should(Equal(1))
		revoked.Store(true)
		h.Readmit("edge-1")
		g.Eventually(ended, time.Minute).Should(Receive(MatchError(ContainSubstring("the node is revoked"))))

		config.Certificates = nil
		g.Expect(Run(t.Context(), Config{Hub: address, TLS: config})).NotTo(Succeed())
	})
}

func TestSaysWhatItIsConfiguredWith(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("session", func(t *testing.T) {
		g := NewWithT(t)
		h, _, address, ca := serve(t)
		config, err := TLSConfig(ca, pki.Node{Name: "edge-1", UID: "uid", Join: 1})
		g.Expect(err).NotTo(HaveOccurred())
		known := protocol.HubInfoDigest(hubInfo())
		messages, ended := make(chan string, 100), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			ended <- Run(ctx, Config{
				Hub: address, TLS: config, Labels: map[string]string{"arch": "arm64"}, HubInfoDigest: known[:],
				OnMessage: func(_ time.Time, m *pb.HubMessage) { messages <- describe(m) },
			})
		}()
		var first, second string
		g.Eventually(messages, time.Minute).Should(Receive(&first))
		g.Eventually(messages, time.Minute).Should(Receive(&second))
		g.Expect([]string{first, second}).To(Equal([]string{"Welcome", "Bookmark"}), "it knows the HubInfo")
		state, _ := h.Node("edge-1")
		g.Expect(state.Labels).To(Equal(map[string]string{"arch": "arm64"}))
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
}
