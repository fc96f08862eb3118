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
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// script is a connection whose peer has said all that it will ever say, and keeps what
// it is answered.
type script struct {
	net.Conn
	mu     sync.Mutex
	input  *bytes.Reader
	output bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func newScript(input []byte) *script {
	return &script{input: bytes.NewReader(input), closed: make(chan struct{})}
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closed(s.closed) {
		return 0, net.ErrClosed
	}
	return s.input.Read(p)
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closed(s.closed) {
		return 0, io.ErrClosedPipe
	}
	return s.output.Write(p)
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *script) answer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.Bytes()
}

func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr             { return stringAddress("192.0.2.1:1") }
func (s *script) LocalAddr() net.Addr              { return stringAddress("192.0.2.2:2") }

// serveScripts serves the connections that it is given as a Server does, but that
// TLS is over: the peers hold the certificate of a node.
func serveScripts(f *testing.F) (serve func(net.Conn)) {
	index := desired.NewIndex(nil)
	table := index.Watch(configMaps)
	table.Replace([]desired.Item{configMap("a", "10", "a")}, "10")
	index.SetSource(everywhere("configmaps", configMaps))
	index.SetNode("edge-1", nil, desired.NodeSettings{})
	h, err := New(Options{
		Index: index, Observer: newObserver(), ClusterEpoch: epoch, Log: logr.Discard(),
		Admit: func(context.Context, pki.Peer) error { return nil },
		Info:  func() *pb.HubInfo { return hubInfo },
	})
	if err != nil {
		f.Fatal(err)
	}
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(certificate(f, ca, "edge-1").Certificate[0])
	if err != nil {
		f.Fatal(err)
	}
	body := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	})
	server := (&Server{Hub: h, Join: body, Renew: body, TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Log: logr.Discard()}).server()
	router := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		router.ServeHTTP(w, r)
	})
	connections := newPipes().(pipes)
	served := make(chan error, 1)
	go func() { served <- server.Serve(newListener(connections, defaultMaxPending)) }()
	f.Cleanup(func() {
		h.Drain()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			f.Error(err)
		}
	})
	return func(c net.Conn) { connections.accepted <- c }
}

const upgradeRequest = "GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: edgesync.v1\r\n\r\n"

// maskedFrame is a WebSocket frame of a client, with a mask of zeros.
func maskedFrame(opcode byte, payload []byte) string {
	header := []byte{0x80 | opcode, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		header = []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	return string(header) + "\x00\x00\x00\x00" + string(payload)
}

func requestSeeds(f *testing.F) []string {
	frame := func(messages ...*pb.AgentMessage) string {
		encoded, err := protocol.EncodeAgent(messages...)
		if err != nil {
			f.Fatal(err)
		}
		return maskedFrame(2, encoded)
	}
	begun := upgradeRequest + frame(hello(newReplica()))
	inventory := hello(newReplica())
	inventory.GetHello().InventoryCount = 1
	return []string{
		"", "\r\n", "GET / HTTP/1.1\r\n\r\n", "GET * HTTP/1.1\r\nHost: hub\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: hub\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00",
		"GET /" + strings.Repeat("a", 10_000), "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 2000),
		"GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\nOrigin: https://hub\r\n\r\n",
		"POST " + joinapi.Path + " HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\n\r\n{\"a\"}",
		"POST " + joinapi.Path + " HTTP/1.1\r\nHost: hub\r\nContent-Length: 99999999999\r\n\r\n{",
		"POST " + joinapi.RenewPath + " HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n{",
		"POST " + joinapi.RenewPath + " HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		upgradeRequest, begun,
		begun + frame(ack(1), appliedKey()) + maskedFrame(9, []byte("ping")) + maskedFrame(8, []byte{3, 232}),
		begun + frame(nack(&pb.Nack{Sequence: 1, Code: pb.NackCode_NACK_CODE_RETRY})),
		begun + maskedFrame(1, []byte("text")) + maskedFrame(0, nil), begun + "\xff\xff\xff\xff",
		upgradeRequest + frame(inventory) + frame(inventoryPart(true)) + frame(ack(1)),
		upgradeRequest + "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	}
}

// countPanics returns what counts the panics.
func countPanics() func() float64 {
	own := prometheus.NewRegistry()
	own.MustRegister(refusals)
	return func() (total float64) {
		families, err := own.Gather()
		if err != nil {
			panic(err)
		}
		for _, metric := range families[0].GetMetric() {
			if metric.GetLabel()[0].GetValue() == string(causePanic) {
				total += metric.GetCounter().GetValue()
			}
		}
		return total
	}
}

// Whatever a peer sends from its request on, it gets an answer of bounded size, the
// connection ends, and the hub does not.
func FuzzConnection(f *testing.F) {
	for _, seed := range requestSeeds(f) {
		f.Add([]byte(seed))
	}
	serve, panics := serveScripts(f), countPanics()
	f.Fuzz(func(t *testing.T, input []byte) {
		c := newScript(input)
		before := panics()
		serve(c)
		select {
		case <-c.closed:
		case <-time.After(patience):
			t.Fatal("the hub keeps a connection whose peer has gone")
		}
		answer := c.answer()
		if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.")) {
			t.Errorf("the answer is %.100q", answer)
		}
		// What is asked for may be answered; nothing else, but one object.
		if len(answer) > len(input)+16<<10 {
			t.Errorf("%d bytes are answered with %d", len(input), len(answer))
		}
		if panics() != before {
			t.Error("something has panicked")
		}
	})
}

type stringAddress string

func (stringAddress) Network() string  { return "test" }
func (a stringAddress) String() string { return string(a) }
