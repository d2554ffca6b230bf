using System.Text.Json;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.OpenAi;

/// <summary>Server-Sent Events as OpenAI sends them: chunks, then <c>[DONE]</c>; or an error in the middle, which its clients throw.</summary>
public sealed class CompletionStream<TChunk>(IAsyncEnumerable<TChunk> chunks) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var (response, cancel) = (httpContext.Response, httpContext.RequestAborted);
        await using var reading = chunks.GetAsyncEnumerator(cancel);
        var isMore = await reading.MoveNextAsync(); // Until the stream begins, whatever goes wrong has a status of its own.
        EventStream.Begin(response);
        try
        {
            for (; isMore; isMore = await reading.MoveNextAsync())
                await Send(response, JsonSerializer.Serialize(reading.Current, OpenAiJson.Options), cancel);
            await Send(response, "[DONE]", cancel);
        }
        catch (Exception error) when (!cancel.IsCancellationRequested)
        {
            httpContext.RequestServices.GetRequiredService<ILogger<CompletionStream<TChunk>>>().LogError(error, "The stream of {Path} broke off", httpContext.Request.Path);
            await Send(response, JsonSerializer.Serialize(new OpenAiErrorAnswer(OpenAiError.Of(ProblemMiddleware.Explain(httpContext, error))), OpenAiJson.Options), cancel);
        }
    }

    private static async Task Send(HttpResponse response, string data, CancellationToken cancel)
    {
        await response.WriteAsync($"data: {data}\n\n", cancel);
        await response.Body.FlushAsync(cancel);
    }
}
