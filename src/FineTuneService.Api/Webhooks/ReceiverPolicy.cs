using System.Net;
using FineTuneService.Contracts;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Webhooks;

/// <summary>Where messages may go. Whoever may name an address must not make this service knock at the doors of its own house.</summary>
public sealed class ReceiverPolicy(IOptions<WebhookSettings> settings)
{
    private const int LongestUrl = 2000;

    /// <summary>Judges what can be seen in the URL; what its name leads to is seen when it is called.</summary>
    public void Check(string url, string pointer, FaultList faults)
    {
        if (Refusal(url) is var (message, remedy))
            faults.Add(pointer, url, message, remedy);
    }

    /// <summary>Null when there is nothing against it.</summary>
    public (string Message, string Remedy)? Refusal(string url)
    {
        if (url.Length > LongestUrl || !Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Host.Length == 0)
            return ("This is no URL of a receiver.", $"Give one such as https://example.com/hooks, of at most {LongestUrl} characters.");
        if (uri.Scheme != Uri.UriSchemeHttps && (uri.Scheme != Uri.UriSchemeHttp || settings.Value is { AllowHttp: false, AllowPrivateAddresses: false }))
            return ("Messages are not sent by this scheme.", "Give an https URL.");
        if (uri.UserInfo.Length > 0)
            return ("It holds a user name or password.", "Leave it out: messages are signed.");
        if (IPAddress.TryParse(uri.IdnHost, out var address) && !Allows(address))
            return (NotAllowed, "Give a receiver on the internet, or ask the operator for Webhooks:AllowPrivateAddresses.");
        return null;
    }

    public bool Allows(IPAddress address) => PublicAddress.IsPublic(address) || (settings.Value.AllowPrivateAddresses && PublicAddress.IsPrivate(address));

    public const string NotAllowed = "Messages are not sent to addresses that are not public.";
}
