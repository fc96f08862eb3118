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
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestOptionsAreChecked(t *testing.T) {
	g := NewWithT(t)
	_, err := New(Options{})
	g.Expect(err).To(MatchError(ContainSubstring("the hub needs")))
}

func body(g *WithT, response *http.Response) string {
	text, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(text))
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err        error
		status     int
		message    string
		retryAfter string
	}{
		"revoked":       {&Refusal{Status: 403, Message: "the node is revoked"}, 403, "the node is revoked", ""},
		"unknown":       {&Refusal{Status: 404, Message: "no EdgeNode of this name"}, 404, "no EdgeNode of this name", ""},
		"later":         {&Refusal{Status: 503, Message: "soon", RetryAfter: 90 * time.Second}, 503, "soon", "90"},
		"a little":      {&Refusal{Status: 503, Message: "soon", RetryAfter: 1500 * time.Millisecond}, 503, "soon", "2"},
		"wrapped":       {fmt.Errorf("admission: %w", &Refusal{Status: 403, Message: "no"}), 403, "no", ""},
		"another error": {errors.New("dial 10.0.0.1: secret"), 503, "the hub cannot decide now", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newTCP(t), func(o *Options) {
				o.Admit = func(_ context.Context, node pki.Peer) error {
					if node.Name != "edge-1" {
						return errors.New("the name is not that of the certificate")
					}
					return test.err
				}
			})
			_, response, err := w.open("edge-1")
			w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
			w.g.Expect(response.StatusCode).To(Equal(test.status))
			w.g.Expect(body(w.g, response)).To(Equal(test.message))
			w.g.Expect(response.Header.Get("Retry-After")).To(Equal(test.retryAfter))
			w.g.Expect(w.logs.of("Refused a node", `"node":"edge-1"`, test.err.Error())).To(HaveLen(1))
		})
	}
}

func TestLimitOfNodes(t *testing.T) {
	w := newWorld(t, newTCP(t), func(o *Options) { o.MaxNodes = 2 })
	first := w.connect("edge-1")
	first.sync(newReplica())
	second := w.connect("edge-2")
	second.sync(newReplica())

	_, response, err := w.open("edge-3")
	w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
	w.g.Expect(response.StatusCode).To(Equal(http.StatusServiceUnavailable))
	w.g.Expect(body(w.g, response)).To(Equal("the hub is full: it serves at most 2 nodes"))
	w.g.Expect(response.Header.Get("Retry-After")).To(Equal("60"))

	w.connect("edge-1").sync(newReplica())
	w.g.Expect(first.closed().Code).To(Equal(protocol.CloseSuperseded), "a node that is connected may reconnect")
	second.hangUp()
	w.eventually(func() error {
		third, _, err := w.open("edge-3")
		if err == nil {
			third.sync(newReplica())
			third.hangUp()
		}
		return err
	}).Should(Succeed())
}

func TestCertificates(t *testing.T) {
	g := NewWithT(t)
	stranger, err := pki.NewCA(time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	w := newWorld(t, newTCP(t))
	serving, err := w.ca.IssueServer([]string{"127.0.0.1"}, time.Hour, time.Now())
	g.Expect(err).NotTo(HaveOccurred())

	_, response, err := w.openWith(nil)
	g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
	g.Expect(response.StatusCode).To(Equal(http.StatusUnauthorized))
	g.Expect(body(g, response)).To(ContainSubstring("join the node first"))

	var alert tls.AlertError
	for name, foreign := range map[string]tls.Certificate{
		"of another CA":      certificate(t, stranger, "edge-1"),
		"of a server":        *serving,
		"not a node's alone": {Certificate: [][]byte{w.ca.Certificate().Raw}, PrivateKey: serving.PrivateKey},
	} {
		_, _, err = w.openWith([]tls.Certificate{foreign}, func(d *websocket.Dialer, _ http.Header) {
			d.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &foreign, nil
			}
		})
		var op *net.OpError
		g.Expect(errors.As(err, &op) && op.Op == "remote error" || errors.As(err, &alert)).To(BeTrue(), "%s: %v", name, err)
	}
	g.Expect(w.logs.of("Refused a node")).To(BeEmpty(), "anybody can do this")
}

func TestBrowsersAreRefused(t *testing.T) {
	w := newWorld(t, newTCP(t))
	_, response, err := w.open("edge-1", func(_ *websocket.Dialer, header http.Header) {
		header.Set("Origin", "https://127.0.0.1")
	})
	w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
	w.g.Expect(response.StatusCode).To(Equal(http.StatusForbidden))
	w.g.Expect(w.logs.of("Refused a connection")).To(HaveLen(1))
}

func TestWhatIsNoWebSocketIsRefused(t *testing.T) {
	w := newWorld(t, newTCP(t))
	transport := &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return w.network.dial() },
		TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool(), Certificates: []tls.Certificate{certificate(t, w.ca, "edge-1")}},
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Get("https://127.0.0.1" + protocol.SyncPath)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(body(w.g, response)).NotTo(BeEmpty())
	_ = response.Body.Close()
	w.g.Expect(response.StatusCode).To(BeElementOf(http.StatusUpgradeRequired, http.StatusBadRequest))
	w.g.Expect(w.hub.Sessions()).To(BeZero())
	// Its place is free again: a full hub would refuse this.
	w.eventually(func() int { w.hub.mu.Lock(); defer w.hub.mu.Unlock(); return w.hub.connections }).Should(BeZero())
}

// An agent may send its Hello without waiting for the answer to its upgrade.
func TestHelloRightAfterTheUpgrade(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	raw, err := w.network.dial()
	w.g.Expect(err).NotTo(HaveOccurred())
	conn := tls.Client(raw, &tls.Config{
		RootCAs: w.ca.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{certificate(t, w.ca, "edge-1")},
	})
	defer func() { _ = conn.Close() }()
	frame, err := protocol.EncodeAgent(hello(newReplica()))
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(len(frame)).To(BeNumerically("<", 126))
	request := "GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	// A masked binary frame, with a mask of zeros.
	hello := append([]byte{0x82, 0x80 | byte(len(frame)), 0, 0, 0, 0}, frame...)
	_, err = conn.Write(append([]byte(request), hello...))
	w.g.Expect(err).NotTo(HaveOccurred())

	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(response.StatusCode).To(Equal(http.StatusSwitchingProtocols))
	header := make([]byte, 2)
	_, err = io.ReadFull(reader, header)
	w.g.Expect(err).NotTo(HaveOccurred())
	answer := make([]byte, header[1])
	_, err = io.ReadFull(reader, answer)
	w.g.Expect(err).NotTo(HaveOccurred())
	messages, err := protocol.DecodeHub(answer)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(messages[0].GetWelcome()).NotTo(BeNil())
	w.settled("edge-1", 0)
}

func TestServerWaitsUntilItIsReady(t *testing.T) {
	g := NewWithT(t)
	hub, err := New(Options{
		Index: desired.NewIndex(nil), Observer: newObserver(), ClusterEpoch: epoch,
		Admit: func(context.Context, pki.Peer) error { return nil },
		Info:  func() *pb.HubInfo { return hubInfo },
	})
	g.Expect(err).NotTo(HaveOccurred())
	server := &Server{Hub: hub, Address: "127.0.0.1:0", Ready: make(chan struct{})}
	g.Expect(server.NeedLeaderElection()).To(BeFalse())
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan error, 1)
	go func() { started <- server.Start(ctx) }()
	cancel()
	g.Eventually(started, patience).Should(Receive(BeNil()))

	server.Address = "256.0.0.1:0"
	g.Expect(server.Start(context.Background())).To(MatchError(ContainSubstring("--hub-bind-address")))
}
