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
	// fullTexts is how many texts of a node are kept as they came: the last ones.
	// Of all others, and of what a node holds that has failed there may be a hundred
	// thousand, shortText bytes are kept.
	fullTexts = 1000
	shortText = 64
)

// texts bounds what the words of a node about its failures take. A text stays where it
// is, and is shortened there once enough others have come.
type texts struct {
	full map[*string]struct{}
	ring []*string
	next int
}

// keep takes over that a text has come to where it is kept.
func (t *texts) keep(text *string) {
	if _, known := t.full[text]; known || len(*text) <= shortText {
		return
	}
	if t.full == nil {
		t.full = map[*string]struct{}{}
	}
	t.full[text] = struct{}{}
	if len(t.ring) < fullTexts {
		t.ring = append(t.ring, text)
		return
	}
	oldest := t.ring[t.next]
	delete(t.full, oldest)
	*oldest = shortened(*oldest)
	t.ring[t.next] = text
	t.next = (t.next + 1) % fullTexts
}

// shortened is a copy, so that nothing keeps the rest of the text.
func shortened(text string) string {
	if len(text) <= shortText {
		return text
	}
	return strings.ToValidUTF8(text[:shortText], "") + "…"
}
