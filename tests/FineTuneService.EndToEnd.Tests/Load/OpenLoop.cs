namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>
/// Sends at a steady rate, whether or not answers come. Latency counts from the instant at which a request was due: what waits behind a slow one is slow itself,
/// which a client that waits for each answer would never see (coordinated omission).
/// </summary>
internal static class OpenLoop
{
    /// <param name="send">Gets the request's number.</param>
    public static async Task Run(double perSecond, TimeSpan duration, Func<int, Task> send, Func<int, Latencies> latencies, CancellationToken cancel)
    {
        var (clock, count) = (TimeProvider.System, (int)(perSecond * duration.TotalSeconds));
        var began = clock.GetTimestamp();
        var sent = new Task[count];
        for (var number = 0; number < count; number++)
        {
            var due = TimeSpan.FromSeconds(number / perSecond);
            if (due - clock.GetElapsedTime(began) is { Ticks: > 0 } early)
                await Task.Delay(early, clock, cancel);
            sent[number] = Send(number, due);
        }
        await Task.WhenAll(sent);

        async Task Send(int number, TimeSpan due)
        {
            try
            {
                await send(number);
                latencies(number).Add(clock.GetElapsedTime(began) - due);
            }
            catch (Exception error) when (!cancel.IsCancellationRequested)
            {
                latencies(number).Fail(error);
            }
        }
    }
}
