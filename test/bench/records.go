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
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// recorder passes connections on to the hub and notes the size of every TLS record, header
// included: each of those that matter here holds one WebSocket frame.
type recorder struct {
	net.Listener
	target string

	mu       sync.Mutex
	down, up []int
}

func startRecorder(target string) (*recorder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{Listener: listener, target: target}
	go r.serve()
	return r, nil
}

func (r *recorder) serve() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		hub, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		go r.pass(hub, client, &r.up)
		go r.pass(client, hub, &r.down)
	}
}

// pass passes records on one by one.
func (r *recorder) pass(to, from net.Conn, sizes *[]int) {
	defer to.Close()
	for {
		// RFC 8446, 5.1: type, version (2 bytes), length (2 bytes).
		record := make([]byte, 5, 17<<10)
		if _, err := io.ReadFull(from, record); err != nil {
			return
		}
		record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
		if _, err := io.ReadFull(from, record[5:]); err != nil {
			return
		}
		r.mu.Lock()
		*sizes = append(*sizes, len(record))
		r.mu.Unlock()
		if _, err := to.Write(record); err != nil {
			return
		}
	}
}

// take returns the records since the last call.
func (r *recorder) take() (down, up []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	down, up = r.down, r.up
	r.down, r.up = nil, nil
	return down, up
}
