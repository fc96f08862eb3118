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
	"slices"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
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
		{name: "compressed frames of 200 MiB", run: compressedFrames, gets: []string{"close 1002"}, counted: broken},
		{name: "garbage after a valid Hello", run: garbage, gets: []string{"close 1002", "close 4003"}, counted: broken},
		{name: "fragments without a byte, without end", run: emptyFragments, gets: []string{"nothing"}},
		{name: "pings as fast as they go", run: pings, gets: []string{"pong"}},
	}
}

// announceGigabyte does so instead of the Hello, and after it.
func announceGigabyte(s *siege) {
	as := s.enlist().at(s.elsewhere())
	for i := 0; s.goOn(i, 2); i++ {
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
		for i := 0; s.goOn(i, 1); i++ {
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
// acts as if it had: with a frame that is not too large and holds 200 MiB.
func compressedFrames(s *siege) {
	as := s.enlist().at(s.elsewhere())
	bomb := deflated(s.g, 200)
	s.g.Expect(len(bomb)).To(BeNumerically("<", protocol.MaxAgentFrameBytes))
	for i := 0; s.goOn(i, 1); i++ {
		l, response, err := s.open(as, func(o *opening) { o.EnableCompression = true })
		s.g.Expect(err).NotTo(HaveOccurred())
		s.g.Expect(response.Header).NotTo(HaveKey("Sec-Websocket-Extensions"))
		s.g.Expect(l.greet()).To(Succeed())
		_ = l.raw(frame(fin|rsv1|binaryFrame, len(bomb), bomb)) // it may be refused before it has been sent
		s.add(l.end())
	}
}

// deflated are so many MiB of zeros. As each is compressed alike after the first, one
// stands for all others.
func deflated(g *WithT, mebibytes int) []byte {
	var first, two bytes.Buffer
	for n, packed := range []*bytes.Buffer{&first, &two} {
		packer, err := flate.NewWriter(packed, flate.BestCompression)
		g.Expect(err).NotTo(HaveOccurred())
		for range n + 1 {
			_, err = packer.Write(make([]byte, 1<<20))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(packer.Flush()).To(Succeed())
		}
	}
	return slices.Concat(first.Bytes(), bytes.Repeat(two.Bytes()[first.Len():], mebibytes-1))
}

// garbage is sent in good frames, and instead of frames.
func garbage(s *siege) {
	as := s.enlist().at(s.elsewhere())
	random := rand.NewChaCha8([32]byte{1})
	for i := 0; s.goOn(i, 2); i++ {
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
