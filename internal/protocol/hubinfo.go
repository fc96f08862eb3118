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

package protocol

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// MaxHubAddresses bounds the addresses of a HubInfo.
	MaxHubAddresses = 8
	// MaxAuthorities bounds the CA certificates of a HubInfo.
	MaxAuthorities = 16
	// MaxLabels bounds what a node says of itself; keys and values are as long as those
	// of Kubernetes labels at most.
	MaxLabels = 32

	maxAddressBytes   = 1024
	maxAuthorityBytes = 8 << 10
	maxLabelBytes     = 63
)

// HubInfoDigest tells one HubInfo from another: the SHA-256 over both lists, each as its
// length and then the length and content of its elements.
func HubInfoDigest(info *pb.HubInfo) object.Digest {
	hash := sha256.New()
	length := func(n int) { _ = binary.Write(hash, binary.BigEndian, uint64(n)) } // a hash takes everything
	length(len(info.GetAddresses()))
	for _, address := range info.GetAddresses() {
		length(len(address))
		hash.Write([]byte(address))
	}
	length(len(info.GetAuthorities()))
	for _, authority := range info.GetAuthorities() {
		length(len(authority))
		hash.Write(authority)
	}
	return object.Digest(hash.Sum(nil))
}

func checkHubInfo(info *pb.HubInfo) error {
	if n := len(info.GetAddresses()); n > MaxHubAddresses {
		return malformed("%d hub addresses, more than %d", n, MaxHubAddresses)
	}
	if n := len(info.GetAuthorities()); n == 0 || n > MaxAuthorities {
		return malformed("%d CA certificates, not between 1 and %d", n, MaxAuthorities)
	}
	for _, address := range info.GetAddresses() {
		if err := atMost("hub address", address, maxAddressBytes); err != nil {
			return err
		}
	}
	for _, authority := range info.GetAuthorities() {
		if n := len(authority); n > maxAuthorityBytes {
			return malformed("a CA certificate of %d bytes, more than %d", n, maxAuthorityBytes)
		}
	}
	return nil
}

// checkHubInfoDigest also takes the empty one of an agent that has no HubInfo.
func checkHubInfoDigest(digest []byte) error {
	if len(digest) == 0 {
		return nil
	}
	return checkDigest(digest)
}

func checkLabels(labels map[string]string) error {
	if n := len(labels); n > MaxLabels {
		return malformed("%d labels, more than %d", n, MaxLabels)
	}
	for name, value := range labels {
		if err := firstError(atMost("label name", name, maxLabelBytes), atMost("label value", value, maxLabelBytes)); err != nil {
			return err
		}
	}
	return nil
}
