using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.Webhooks;

internal static class EventNames
{
    /// <summary>Each once, as given.</summary>
    public static string[] Read(IReadOnlyList<string>? names, FaultList faults)
    {
        foreach (var (index, name) in (names ?? []).Index())
            faults.Require(WebhookMessage.JobTypes.Contains(name), $"/events/{index}", name, "There is no such event.", $"Give some of: {string.Join(", ", WebhookMessage.JobTypes)}; none means all.");
        return [.. (names ?? []).Distinct()];
    }
}
