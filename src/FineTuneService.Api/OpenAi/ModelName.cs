using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>
/// What a job has made, as a model: <c>ft:BASE:PROJECT:SUFFIX:ID</c>, and a checkpoint of it with <c>:ckpt-step-N</c>. Base and id find the job again;
/// project and suffix are for people, so that a project may get another name.
/// </summary>
/// <param name="ShortId">The end of the job's id: 48 random bits.</param>
public sealed partial record ModelName(string Base, string ShortId, int? Step)
{
    public const string Scheme = "ft:";
    private const int ShortLength = 12;

    public static string Of(Job job, string project) => Of(job, JobView.From(job).Spec, FineTuningClient.Of(job), project);

    /// <param name="project">A slug of the project's name.</param>
    public static string Of(Job job, JobSpec spec, FineTuningClient? client, string project) =>
        $"{Scheme}{spec.BaseModel}:{project}:{Slug(client is null ? job.Name ?? "" : client.Suffix ?? "")}:{job.Id[^Math.Min(ShortLength, job.Id.Length)..]}";

    public static string OfCheckpoint(string model, int step) => string.Create(CultureInfo.InvariantCulture, $"{model}:ckpt-step-{step}");

    /// <returns>Null when it is none.</returns>
    public static ModelName? Parse(string name) => Pattern().Match(name) is { Success: true } match
        ? new(match.Groups["base"].Value, match.Groups["id"].Value, match.Groups["step"] is { Success: true } step ? int.Parse(step.Value, CultureInfo.InvariantCulture) : null)
        : null;

    /// <summary>Of the project whose rows are seen.</summary>
    public static async Task<string> ProjectSlug(FineTuneDb db, CancellationToken cancel) =>
        Slug(await db.Projects.AsNoTracking().Where(project => project.Id == db.Project).Select(project => project.Name).FirstOrDefaultAsync(cancel) ?? "");

    private static string Slug(string text) => Other().Replace(text.ToLowerInvariant(), "-").Trim('-');

    [GeneratedRegex(@"\Aft:(?<base>.+):[^:]*:[^:]*:(?<id>[0-9a-f]{12})(:ckpt-step-(?<step>[0-9]{1,9}))?\z")]
    private static partial Regex Pattern();

    [GeneratedRegex("[^a-z0-9._-]+")]
    private static partial Regex Other();
}
