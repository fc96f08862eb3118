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

package hostile

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/protocol"
)

// home is the address of the honest node.
const home = "127.0.0.1"

// elsewhere is an address that nobody has called from yet.
func (e *enlisting) elsewhere() string {
	n := e.addresses.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+n/62500, 1+n/250%250, 1+n%250)
}

// caller says as whom a connection is made.
type caller struct {
	// from is the address that it comes from; empty means home.
	from string
	// name is that of the node.
	name string
	// certificates are those to present.
	certificates []tls.Certificate
	// receiveBuffer is that of the socket in bytes; 0 leaves it to the kernel.
	receiveBuffer int
}

func (i identity) at(from string) caller {
	return caller{from: from, name: i.name, certificates: []tls.Certificate{i.certificate}}
}

// dial makes a TCP connection from an address.
func (w *world) dial(from string) (*net.TCPConn, error) { return w.dialFrom(caller{from: from}) }

// dialFrom makes a TCP connection, which is reset when it is closed: nothing is left of it.
func (w *world) dialFrom(as caller) (*net.TCPConn, error) {
	from := net.ParseIP(cmp.Or(as.from, home))
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: from}, Control: as.limitBuffer}
	conn, err := dialer.Dial("tcp", w.fleet.HubAddress())
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	return tcp, tcp.SetDeadline(time.Now().Add(patience))
}

// limitBuffer has the kernel keep no more than receiveBuffer of what has come.
func (c caller) limitBuffer(_, _ string, socket syscall.RawConn) (err error) {
	if c.receiveBuffer == 0 {
		return nil
	}
	controlErr := socket.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, c.receiveBuffer)
	})
	return errors.Join(controlErr, err)
}

// tlsConfig does not choose among the certificates: an attacker presents what the hub
// does not ask for, too.
func (w *world) tlsConfig(certificates []tls.Certificate) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: w.roots, ServerName: home, InsecureSkipVerify: w.roots == nil}
	if len(certificates) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
	}
	return config
}

func (w *world) dialTLS(as caller) (*tls.Conn, error) {
	conn, err := w.dialFrom(as)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, w.tlsConfig(as.certificates))
	if err := secured.Handshake(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}

// exchange sends a request and reads the head of the answer.
func exchange(conn net.Conn, request *http.Request) (*http.Response, error) {
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	return readResponse(conn)
}

func readResponse(conn net.Conn) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// opening is how a WebSocket is asked for.
type opening struct {
	websocket.Dialer
	header http.Header
	query  string
}

// open makes a WebSocket; the response tells why it did not become one.
func (w *world) open(as caller, change ...func(*opening)) (*link, *http.Response, error) {
	o := opening{header: http.Header{}, Dialer: websocket.Dialer{
		Subprotocols:     []string{protocol.Subprotocol},
		NetDialContext:   func(context.Context, string, string) (net.Conn, error) { return w.dialFrom(as) },
		TLSClientConfig:  w.tlsConfig(as.certificates),
		HandshakeTimeout: patience,
	}}
	for _, c := range change {
		c(&o)
	}
	address := url.URL{Scheme: "wss", Host: w.fleet.HubAddress(), Path: protocol.SyncPath, RawQuery: o.query}
	conn, response, err := o.Dial(address.String(), o.header)
	if err != nil {
		return nil, response, err
	}
	conn.SetReadLimit(protocol.MaxHubFrameBytes)
	return &link{conn}, response, nil
}
