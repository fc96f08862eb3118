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

package delivery

import "strings"

const (
	// fullMessages is how many messages of a node are kept as they came: the last ones.
	// Of all others, and of what a node holds that has failed there may be a hundred
	// thousand, shortMessage bytes are kept.
	fullMessages = 1000
	shortMessage = 64
)

// messages bounds what the messages of a node take. A message stays where it is, and
// is shortened there once enough others have come.
type messages struct {
	full map[*string]struct{}
	ring []*string
	next int
}

// keep takes over that a message has come to where it is kept.
func (m *messages) keep(message *string) {
	if _, known := m.full[message]; known || len(*message) <= shortMessage {
		return
	}
	if m.full == nil {
		m.full = map[*string]struct{}{}
	}
	m.full[message] = struct{}{}
	if len(m.ring) < fullMessages {
		m.ring = append(m.ring, message)
		return
	}
	oldest := m.ring[m.next]
	delete(m.full, oldest)
	*oldest = shortened(*oldest)
	m.ring[m.next] = message
	m.next = (m.next + 1) % fullMessages
}

// shortened is a copy, so that nothing keeps the rest of the message.
func shortened(message string) string {
	if len(message) <= shortMessage {
		return message
	}
	return strings.ToValidUTF8(message[:shortMessage], "") + "…"
}
