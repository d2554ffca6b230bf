using System.Net.Http.Headers;

namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>Open streams of <c>GET /jobs/{id}/events</c>.</summary>
internal sealed class EventListeners : IAsyncDisposable
{
    private readonly CancellationTokenSource _leave = new();
    private readonly List<Task> _streams = [];
    private int _events, _lines;

    public int Events => _events;

    /// <summary>Events, and signs of life.</summary>
    public int Lines => _lines;

    /// <summary>Streams that have ended by themselves, which none should: their jobs wait.</summary>
    public int Lost => _streams.Count(stream => stream.IsCompleted);

    public async Task Open(HttpClient http, string jobId, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/jobs/{jobId}/events");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        response.EnsureSuccessStatusCode();
        _streams.Add(Read(response));
    }

    public async ValueTask DisposeAsync()
    {
        await _leave.CancelAsync();
        await Task.WhenAll(_streams).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        _leave.Dispose();
    }

    private async Task Read(HttpResponseMessage response)
    {
        using (response)
        using (var reader = new StreamReader(await response.Content.ReadAsStreamAsync(_leave.Token)))
            while (await reader.ReadLineAsync(_leave.Token) is { } line)
            {
                Interlocked.Increment(ref _lines);
                if (line.StartsWith("event: ", StringComparison.Ordinal))
                    Interlocked.Increment(ref _events);
            }
    }
}
