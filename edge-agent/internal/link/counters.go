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

package link

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Counters are numbers since the process began.
type Counters struct {
	// Attempts are those to connect, and Sessions those of them that the hub has welcomed.
	Attempts, Sessions uint64
	// ReceivedBytes and SentBytes are those of the connections, TLS included.
	ReceivedBytes, SentBytes uint64
	// Nacks are the messages that were refused, by code.
	Nacks map[pb.NackCode]uint64
}

// NackCodes are those with which an agent refuses.
var NackCodes = []pb.NackCode{
	pb.NackCode_NACK_CODE_RETRY, pb.NackCode_NACK_CODE_REJECT, pb.NackCode_NACK_CODE_NO_BASE, pb.NackCode_NACK_CODE_STALE,
}

// Counters may be called concurrently.
func (l *Link) Counters() Counters {
	counters := Counters{
		Attempts: l.counts.attempts.Load(), Sessions: l.counts.sessions.Load(),
		ReceivedBytes: l.counts.received.Load(), SentBytes: l.counts.sent.Load(),
		Nacks: map[pb.NackCode]uint64{},
	}
	for _, code := range NackCodes {
		counters.Nacks[code] = l.counts.nacks[code].Load()
	}
	return counters
}

type counts struct {
	attempts, sessions, received, sent atomic.Uint64
	nacks                              [pb.NackCode_NACK_CODE_STALE + 1]atomic.Uint64 // by code
}

func (c *counts) refused(nacks []*pb.Nack) {
	for _, nack := range nacks {
		c.nacks[nack.GetCode()].Add(1)
	}
}

// counted opens connections whose bytes are counted.
func (c *counts) counted(open connect) connect {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := open(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, counts: c}, nil
	}
}

type countedConn struct {
	net.Conn
	counts *counts
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.counts.received.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.counts.sent.Add(uint64(n))
	return n, err
}
