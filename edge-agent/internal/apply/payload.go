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

package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// decodePayload makes an object of the payload, with its resourceVersion, which
// travels beside it.
func decodePayload(entry *store.Entry) (*unstructured.Unstructured, error) {
	var content map[string]any
	if err := utiljson.Unmarshal(entry.Payload, &content); err != nil {
		return nil, fmt.Errorf("%w: the content is not a JSON object: %w", ErrInvalid, err)
	}
	u := &unstructured.Unstructured{Object: content}
	metadata, ok := content["metadata"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: the content has no metadata", ErrInvalid)
	}
	metadata["resourceVersion"] = entry.Version
	return u, nil
}

// render is the content of an object's file.
func render(entry *store.Entry) ([]byte, error) {
	u, err := decodePayload(entry)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("%w: the content cannot be encoded: %w", ErrInvalid, err)
	}
	content, err := yaml.JSONToYAML(escapeForYAML(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the content cannot be written as YAML: %w", ErrInvalid, err)
	}
	return content, nil
}

// escapeForYAML escapes the characters that mean themselves in JSON and not in YAML,
// which forbids them, or takes U+0085 for a line break and makes a space of it. In JSON
// they are all within strings.
func escapeForYAML(text []byte) []byte {
	if bytes.IndexFunc(text, specialInYAML) < 0 {
		return text
	}
	var escaped []byte
	for _, r := range string(text) {
		if specialInYAML(r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	return escaped
}

func specialInYAML(r rune) bool {
	return r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff
}
