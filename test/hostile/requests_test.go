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
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
)

func requests() []attack {
	return []attack{
		{
			name: "header without end", run: endless(
				"GET "+protocol.SyncPath+" HTTP/1.1\r\nHost: hub\r\nX-Filler: ", "x",
				"GET "+protocol.SyncPath+" HTTP/1.1\r\nHost: hub\r\n", "X-Filler: x\r\n",
				"GET "+protocol.SyncPath+"?", "x",
			),
			gets: []string{"HTTP 431"}, counted: []string{refused("request")},
		},
		{
			name: "join request of 1 GB", run: endless(
				fmt.Sprintf("POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n{\"token\":\"", joinapi.Path, gigabyte), "x",
				"POST "+joinapi.Path+" HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n", "10\r\n                \r\n",
			),
			gets: []string{"HTTP 413"}, counted: []string{notJoined("too_large")},
		},
		{
			name: "join request that is a gzip bomb, or nested 30,000 times", run: packedRequests,
			gets: []string{"HTTP 400"}, counted: []string{notJoined("malformed")},
		},
		{
			name: "pipelined requests and garbage", run: pipelines,
			gets: []string{"HTTP 400", "HTTP 401", "HTTP 404"}, counted: []string{refused("request"), refused("no_certificate")},
		},
		{
			name: "no TLS, or TLS 1.2", run: oldProtocols,
			gets: []string{"HTTP 400", "TLS alert: protocol version not supported"}, counted: []string{refused("handshake")},
		},
	}
}

// talk has send write to a new connection, and returns what the hub answers first.
func (s *siege) talk(as caller, send func(io.Writer)) string {
	conn, err := s.dialTLS(as)
	if err != nil {
		return describe(err)
	}
	defer conn.Close()
	go send(conn)
	return answerOn(conn)
}

func answerOn(conn net.Conn) string {
	response, err := readResponse(conn)
	if err != nil {
		return describe(err)
	}
	_ = response.Body.Close()
	return fmt.Sprintf("HTTP %d", response.StatusCode)
}

// endless sends, for each two of the texts, the first and then the second up to 1 GB.
func endless(texts ...string) func(*siege) {
	return func(s *siege) {
		for i := 0; s.goOn(i, len(texts)); i += 2 {
			begin, more := texts[i%len(texts)], []byte(texts[i%len(texts)+1])
			more = bytes.Repeat(more, 16<<10/len(more))
			s.add(s.talk(caller{from: s.elsewhere()}, func(w io.Writer) {
				_, err := io.WriteString(w, begin)
				for sent := 0; err == nil && sent < gigabyte; sent += len(more) {
					_, err = w.Write(more)
				}
			}))
		}
	}
}

// packedRequests are small, and large to whoever unpacks them: 50 MiB.
func packedRequests(s *siege) {
	packed := slices.Concat([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, deflated(s.g, 50)) // RFC 1952
	s.g.Expect(len(packed)).To(BeNumerically("<", joinapi.MaxRequestBytes))
	bodies := []string{string(packed), strings.Repeat(`{"node":`, 7000), `{"node":` + strings.Repeat("[", 30_000)}
	for i := 0; s.goOn(i, len(bodies)); i++ {
		request, err := http.NewRequest(http.MethodPost, s.fleet.HubURL()+joinapi.Path, strings.NewReader(bodies[i%len(bodies)]))
		s.g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Content-Type", "application/json")
		if i%len(bodies) == 0 {
			request.Header.Set("Content-Encoding", "gzip")
		}
		s.add(s.talk(caller{from: s.elsewhere()}, func(w io.Writer) { _ = request.Write(w) }))
	}
}

// pipelines send all at once. The first request decides: no other is answered.
func pipelines(s *siege) {
	const get = "GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\n\r\n"
	texts := []string{
		strings.Repeat(get, 10_000),
		get + strings.Repeat("\x00\xff", 10_000),
		strings.Repeat("\x00\xff\r\n", 10_000),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 10_000),
		"GET " + protocol.SyncPath + " HTTP/1.1\r\n\r\n" + get, // no Host
		strings.Repeat("GET /v1/../metrics HTTP/1.1\r\nHost: hub\r\n\r\n", 100),
		"POST " + joinapi.Path + " HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}" + get,
	}
	for i := 0; s.goOn(i, len(texts)); i++ {
		conn, err := s.dialTLS(caller{from: s.elsewhere()})
		s.g.Expect(err).NotTo(HaveOccurred())
		go func() { _, _ = io.WriteString(conn, texts[i%len(texts)]) }()
		answers, _ := io.ReadAll(conn) // until the hub closes or resets the connection
		_ = conn.Close()
		s.g.Expect(bytes.Count(answers, []byte("HTTP/1.1 "))).To(Equal(1), "%s", answers)
		s.add("HTTP " + string(answers[len("HTTP/1.1 "):][:3]))
	}
}

func oldProtocols(s *siege) {
	for i := 0; s.goOn(i, 2); i++ {
		conn, err := s.dial(s.elsewhere())
		s.g.Expect(err).NotTo(HaveOccurred())
		if i%2 == 0 {
			_, err = io.WriteString(conn, "GET "+protocol.SyncPath+" HTTP/1.1\r\nHost: hub\r\n\r\n")
			s.g.Expect(err).NotTo(HaveOccurred())
			s.add(answerOn(conn))
		} else {
			config := &tls.Config{RootCAs: s.roots, ServerName: home, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
			s.add(describe(tls.Client(conn, config).Handshake()))
		}
		s.g.Expect(conn.Close()).To(Succeed())
	}
}
