using System.Net;

namespace FineTuneService.Hub;

/// <summary>A failure that may pass: asked again, the hub may well answer.</summary>
/// <param name="retryAfter">When the hub wants to be asked again, where it says so.</param>
internal sealed class PassingFailureException(string message, TimeSpan? retryAfter = null, Exception? cause = null) : Exception(message, cause)
{
    public TimeSpan? RetryAfter { get; } = retryAfter;

    public static bool IsPassing(HttpStatusCode status) =>
        status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    /// <summary>A refused or lost connection, a broken body, a name that does not resolve, a silence.</summary>
    public static bool IsOfTheNetwork(Exception error, CancellationToken cancel) =>
        error is HttpRequestException or IOException || (error is OperationCanceledException && !cancel.IsCancellationRequested);
}

/// <summary>How long one request is repeated: exponential backoff with jitter, or what <c>Retry-After</c> asks for, whichever is longer.</summary>
internal sealed class Patience(HubSettings settings)
{
    private int _failures;

    /// <summary>The request got on: it counts from the beginning.</summary>
    public void Renew() => _failures = 0;

    /// <exception cref="HubUnreachableException">When it has run out.</exception>
    public async Task Wait(PassingFailureException failure, CancellationToken cancel)
    {
        if (failure.RetryAfter > settings.LongestWait)
            throw new HubUnreachableException($"{failure.Message} It wants to be left alone for {failure.RetryAfter.Value.TotalSeconds:0} seconds.", failure);
        if (++_failures > settings.Retries)
            throw new HubUnreachableException($"{failure.Message} It was asked {_failures} times.", failure);
        var backoff = settings.RetryDelay * Math.Pow(2, _failures - 1) * (0.5 + Random.Shared.NextDouble() / 2);
        var wait = backoff > failure.RetryAfter ? backoff : failure.RetryAfter ?? backoff;
        await Task.Delay(wait < settings.LongestWait ? wait : settings.LongestWait, cancel);
    }

    public static async Task<T> Repeat<T>(HubSettings settings, Func<Task<T>> request, CancellationToken cancel)
    {
        var patience = new Patience(settings);
        while (true)
        {
            try
            {
                return await request();
            }
            catch (PassingFailureException failure)
            {
                await patience.Wait(failure, cancel);
            }
        }
    }
}
