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

package joinapi

import (
	"errors"
	"regexp"
	"strings"
)

var (
	// A secret may be written in base32, base64url or hexadecimal; 43 characters are
	// 256 bits in the densest of them.
	idPattern     = regexp.MustCompile(`^[a-z0-9]{8,10}$`)
	secretPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43,128}$`)
)

// FormatToken is the token of an ID and a secret.
func FormatToken(id, secret string) string { return id + "." + secret }

// ParseToken splits a token into its ID and its secret. The error does not repeat it.
func ParseToken(token string) (id, secret string, err error) {
	id, secret, _ = strings.Cut(token, ".")
	if !ValidTokenID(id) || !secretPattern.MatchString(secret) {
		return "", "", errors.New("a join token has the form <id>.<secret>")
	}
	return id, secret, nil
}

// ValidTokenID tells whether id is 8 to 10 characters of a-z and 0-9.
func ValidTokenID(id string) bool { return idPattern.MatchString(id) }
