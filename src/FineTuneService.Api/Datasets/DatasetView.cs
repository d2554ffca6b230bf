using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Api.Preparations;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training.Data;

namespace FineTuneService.Api.Datasets;

/// <summary>A dataset as clients see it.</summary>
/// <param name="FileName">As it was uploaded.</param>
/// <param name="Format"><c>csv</c>, <c>tsv</c>, <c>jsonl</c> or <c>parquet</c>.</param>
/// <param name="Profile">What is in it.</param>
/// <param name="Origin">What it was made of; absent for one that was uploaded.</param>
public sealed record DatasetView(string Id, string Name, string FileName, string Format, string Sha256, long Bytes, long Rows, DatasetProfile Profile, DatasetOrigin? Origin, DateTimeOffset CreatedAt)
{
    private const int MostShownLabels = 100;

    private static readonly JsonSerializerOptions Stored = new(SnakeCaseJson.Options) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public static DatasetView From(Dataset row) => new(
        row.Id, row.Name, row.FileName, row.Format, row.Sha256, row.Bytes, row.Rows, Shown(ProfileOf(row)), row.Origin is null ? null : JsonSerializer.Deserialize<DatasetOrigin>(row.Origin, SnakeCaseJson.Options), row.CreatedAt);

    /// <summary>A column of many different values is a column of texts; nobody wants all of them again.</summary>
    private static DatasetProfile Shown(DatasetProfile profile) =>
        profile with { Columns = [.. profile.Columns.Select(column => column.Distinct > MostShownLabels ? column with { Counts = null } : column)] };

    public static DatasetProfile ProfileOf(Dataset row) => JsonSerializer.Deserialize<DatasetProfile>(row.Profile, Stored)!;
}
