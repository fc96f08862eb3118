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
	"compress/flate"
	"math/rand/v2"
	"net/http"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"
)

// gigabyte is the size of what is announced, or tried to be sent.
const gigabyte = 1 << 30

func frames() []attack {
	tooLarge := []string{refused("frame_too_large")}
	broken := []string{refused("protocol")}
	return []attack{
		{name: "frame of 1 GB, announced in its header", run: announceGigabyte, gets: []string{"close 1009"}, counted: tooLarge},
		{name: "message of 1 GB in fragments of 64 KiB", run: fragments(64<<10, 1), gets: []string{"close 1009"}, counted: tooLarge},
		{name: "message of 1 GB in fragments of 1 byte", run: fragments(1, 4096), gets: []string{"close 1009"}, counted: tooLarge},
		{name: "compressed frames of 1 GB", run: compressedFrames, gets: []string{"close 1002"}, counted: broken},
		{name: "garbage after a valid Hello", run: garbage, gets: []string{"close 1002", "close 4003"}, counted: broken},
		{name: "fragments without a byte, without end", run: emptyFragments, gets: []string{"nothing"}},
		{name: "pings as fast as they go", run: pings, gets: []string{"pong"}},
	}
}

// announceGigabyte does so instead of the Hello, and after it.
func announceGigabyte(s *siege) {
	as := s.enlist().at(s.elsewhere())
	for i := 0; !s.over(); i++ {
		l := s.connect(as)
		if i%2 == 0 {
			s.g.Expect(l.greet()).To(Succeed())
		}
		s.g.Expect(l.raw(frame(fin|binaryFrame, gigabyte, make([]byte, 1000)))).To(Succeed())
		s.add(l.end())
	}
}

// fragments sends a message that does not end, many fragments at a time.
func fragments(size, together int) func(*siege) {
	return func(s *siege) {
		as := s.enlist().at(s.elsewhere())
		more := bytes.Repeat(frame(continuation, size, make([]byte, size)), together)
		for !s.over() {
			l := s.begin(as)
			go func() {
				_ = l.raw(frame(binaryFrame, size, make([]byte, size)))
				for sent := 0; sent < gigabyte && l.raw(more) == nil; sent += size * together {
				}
			}()
			s.add(l.end())
		}
	}
}

// compressedFrames offers permessage-deflate, which the hub must not take up, and then
// acts as if it had: a frame of 130 KB that holds 128 MB would do, if it were unpacked.
func compressedFrames(s *siege) {
	as := s.enlist().at(s.elsewhere())
	var bomb bytes.Buffer
	packer, err := flate.NewWriter(&bomb, flate.BestCompression)
	s.g.Expect(err).NotTo(HaveOccurred())
	for range 128 {
		_, err = packer.Write(make([]byte, 1<<20))
		s.g.Expect(err).NotTo(HaveOccurred())
	}
	s.g.Expect(packer.Close()).To(Succeed())
	for !s.over() {
		l, response, err := s.open(as, func(d *websocket.Dialer, _ http.Header) { d.EnableCompression = true })
		s.g.Expect(err).NotTo(HaveOccurred())
		s.g.Expect(response.Header).NotTo(HaveKey("Sec-Websocket-Extensions"))
		s.g.Expect(l.greet()).To(Succeed())
		_ = l.raw(frame(fin|rsv1|binaryFrame, bomb.Len(), bomb.Bytes())) // it may be refused before it has been sent
		s.add(l.end())
	}
}

// garbage is sent in good frames, and instead of frames.
func garbage(s *siege) {
	as := s.enlist().at(s.elsewhere())
	random := rand.NewChaCha8([32]byte{1})
	for i := 0; !s.over(); i++ {
		junk := make([]byte, 1+i%1000)
		_, _ = random.Read(junk)
		junk[0] = 0xff // no tag of protobuf, and three reserved bits of a frame
		l := s.begin(as)
		if i%2 == 0 {
			s.g.Expect(l.WriteMessage(websocket.BinaryMessage, junk)).To(Succeed())
		} else {
			s.g.Expect(l.raw(append(junk, make([]byte, 16)...))).To(Succeed())
		}
		s.add(l.end())
	}
}

// emptyFragments never come to the limit of a message. They keep the session and take nothing.
func emptyFragments(s *siege) {
	l := s.begin(s.enlist().at(s.elsewhere()))
	defer l.Close()
	s.g.Expect(l.raw(frame(binaryFrame, 0, nil))).To(Succeed())
	more := bytes.Repeat(frame(continuation, 0, nil), 1000)
	for !s.over() {
		s.g.Expect(l.raw(more)).To(Succeed())
	}
	s.g.Expect(l.ping()).To(Succeed())
	s.add("nothing")
}

// pings are answered as they come: who sends them has as much work as the hub.
func pings(s *siege) {
	l := s.begin(s.enlist().at(s.elsewhere()))
	defer l.Close()
	many := bytes.Repeat(frame(fin|ping, 125, make([]byte, 125)), 100)
	l.SetPongHandler(func(string) error { s.add("pong"); return nil })
	received := make(chan string, 1)
	go func() { received <- l.end() }()
	for !s.over() {
		s.g.Expect(l.raw(many)).To(Succeed())
	}
	s.g.Expect(l.Close()).To(Succeed())
	<-received
}
