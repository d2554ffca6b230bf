using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace FineTuneService.Client;

public partial class FineTuneClient
{
    private const int Reconnections = 30;
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>What has happened to a job and what happens, as it happens, until the job ends. A lost connection is taken up again where it broke; each event comes once.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="after">Only events after this id.</param>
    /// <param name="types">Only events of these types: <c>log</c>, <c>evaluate</c>, <c>status</c>, …</param>
    /// <exception cref="FineTuneException">When there is no such job, or the key may not read it.</exception>
    /// <exception cref="HttpRequestException">When the service could not be reached again for half a minute.</exception>
    public async IAsyncEnumerable<Event> FollowEventsAsync(string id, long after = 0, IEnumerable<string>? types = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var address = $"jobs/{Segment(id)}/events{(types is null ? "" : $"?types={Segment(string.Join(',', types))}")}";
        while (await OpenEventsAsync(address, after, cancellationToken).ConfigureAwait(false) is { } response)
        {
            using (response)
            {
                var stream = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
                var events = SseParser.Create(stream, (_, data) => JsonSerializer.Deserialize<Event>(data, JsonSerializerSettings)!).EnumerateAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);
                await using (events.ConfigureAwait(false))
                    while (await MoveNextAsync(events).ConfigureAwait(false))
                    {
                        after = events.Current.Data.Id;
                        yield return events.Current.Data;
                    }
            }
        }
    }

    /// <returns>Null when the job has ended and nothing follows: status 204.</returns>
    private async Task<HttpResponseMessage?> OpenEventsAsync(string address, long after, CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
            request.Headers.Add("Last-Event-ID", after.ToString(CultureInfo.InvariantCulture));
            try
            {
                var response = await SendAsync(request, cancellationToken).ConfigureAwait(false);
                if (response.StatusCode != HttpStatusCode.NoContent)
                    return response;
                response.Dispose();
                return null;
            }
            catch (Exception error) when (tries < Reconnections && error is HttpRequestException or FineTuneException { Status: >= 500 or 429 })
            {
                await Task.Delay((error as FineTuneException)?.RetryAfter ?? Pause, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <returns>False, too, when the connection broke: then it is opened again.</returns>
    private static async Task<bool> MoveNextAsync(IAsyncEnumerator<SseItem<Event>> events)
    {
        try
        {
            return await events.MoveNextAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or HttpRequestException)
        {
            return false;
        }
    }
}
