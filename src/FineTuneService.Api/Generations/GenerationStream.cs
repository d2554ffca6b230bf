using System.Text.Json;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Generations;

/// <summary>Server-Sent Events: each piece of text as soon as it is known, then <c>done</c> or <c>error</c>. Whoever reads too slowly is cut off by Kestrel's least data rate, so that nobody holds the model.</summary>
public sealed class GenerationStream(int step, IAsyncEnumerable<GeneratedPiece> pieces) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var (response, cancel) = (httpContext.Response, httpContext.RequestAborted);
        await using var reading = pieces.GetAsyncEnumerator(cancel);
        var isMore = await reading.MoveNextAsync(); // Until the stream begins, whatever goes wrong has a status of its own.
        EventStream.Begin(response);
        try
        {
            for (; isMore; isMore = await reading.MoveNextAsync())
                await Send(response, "", reading.Current, cancel);
            await Send(response, "event: done\n", new { Step = step }, cancel);
        }
        catch (Exception error) when (!cancel.IsCancellationRequested)
        {
            var problem = ProblemMiddleware.Explain(httpContext, error);
            httpContext.RequestServices.GetRequiredService<ILogger<GenerationStream>>().LogError(error, "The stream of {Path} broke off", httpContext.Request.Path);
            await Send(response, "event: error\n", problem, cancel);
        }
    }

    private static async Task Send<T>(HttpResponse response, string name, T data, CancellationToken cancel)
    {
        await response.WriteAsync($"{name}data: {JsonSerializer.Serialize(data, SnakeCaseJson.Options)}\n\n", cancel);
        await response.Body.FlushAsync(cancel);
    }
}
