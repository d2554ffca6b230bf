using System.Net;
using System.Net.Sockets;

namespace FineTuneService.Api.Webhooks;

/// <summary>Tells the addresses of the internet from those of the house (IANA's special-purpose address registries).</summary>
public static class PublicAddress
{
    /// <summary>NAT64 (RFC 6052): the last four bytes are an IPv4 address.</summary>
    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");

    /// <summary>All that IPv6 has for the internet.</summary>
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    private static readonly IPNetwork[] Private = Networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128");

    /// <summary>Where clouds tell a machine its credentials, beside link-local addresses.</summary>
    private static readonly IPNetwork[] Metadata = Networks("100.100.100.200/32", "fd00:ec2::/32");

    private static readonly IPNetwork[] NotPublic =
    [
        .. Private,
        .. Networks(
            "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"), // Teredo and its like, documentation, 6to4.
    ];

    /// <summary>Somebody on the internet.</summary>
    public static bool IsPublic(IPAddress address) =>
        Plain(address) is var plain && (plain.AddressFamily == AddressFamily.InterNetwork || GlobalUnicast.Contains(plain)) && !NotPublic.Any(network => network.Contains(plain));

    /// <summary>This machine, or one of a private network. Link-local addresses are neither this nor public: nobody is to reach these.</summary>
    public static bool IsPrivate(IPAddress address) =>
        Plain(address) is var plain && Private.Any(network => network.Contains(plain)) && !Metadata.Any(network => network.Contains(plain));

    /// <summary>The IPv4 address that an IPv6 address stands for; else itself.</summary>
    private static IPAddress Plain(IPAddress address) =>
        address.IsIPv4MappedToIPv6 ? address.MapToIPv4()
        : Nat64.Contains(address) ? new(address.GetAddressBytes().AsSpan(12))
        : address;

    private static IPNetwork[] Networks(params string[] networks) => [.. networks.Select(network => IPNetwork.Parse(network))];
}
