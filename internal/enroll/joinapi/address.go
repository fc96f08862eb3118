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
	"fmt"
	"net/url"
)

// ParseHub accepts the address of a hub: https://host or https://host:port.
func ParseHub(address string) (*url.URL, error) {
	hub, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the address of the hub: %w", err)
	}
	bare := url.URL{Scheme: "https", Host: hub.Host}
	if hub.Hostname() == "" || (*hub != bare && hub.String() != bare.String()+"/") {
		return nil, fmt.Errorf("the address of the hub must look like https://host:port, not %q", address)
	}
	return &bare, nil
}
