using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public sealed record TokenSampleList(IReadOnlyList<TokenSample> Data);

public static class ReadSamples
{
    /// <summary>Shows the first training rows as a language model reads them: tokens, and which of them are learnt.</summary>
    /// <remarks>Empty until the trainer has read the data, and for tasks that do not learn tokens.</remarks>
    /// <param name="id">The job's id.</param>
    public static async Task<Ok<TokenSampleList>> Handle(string id, FineTuneDb db, RunFiles files, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        var lines = await files.Samples(id, cancel);
        return TypedResults.Ok(new TokenSampleList([.. lines.Select(line => JsonSerializer.Deserialize<TokenSample>(line, SnakeCaseJson.Options)!)]));
    }
}
