using FineTuneService.Storage;

namespace FineTuneService.Api.Datasets;

/// <summary>A file that arrives in parts.</summary>
/// <param name="Name">What the dataset will be called.</param>
/// <param name="Bytes">What all parts together must have.</param>
/// <param name="Sha256">Of the whole file, where it was told at the beginning.</param>
/// <param name="Parts">Those that are there, in the order in which they make the file.</param>
/// <param name="ReceivedBytes">Of the parts that are there.</param>
/// <param name="DatasetId">Once it is completed.</param>
public sealed record DatasetUploadView(
    string Id, string Name, long Bytes, string? Sha256, UploadStatus Status, IReadOnlyList<DatasetPartView> Parts, long ReceivedBytes, string? DatasetId, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt)
{
    public static DatasetUploadView From(Upload row, IReadOnlyList<(int Number, long Bytes)> parts) => new(
        row.Id, row.FileName, row.Bytes, row.Sha256, row.Status, [.. parts.Select(part => new DatasetPartView(part.Number, part.Bytes, null))], parts.Sum(part => part.Bytes), row.DatasetId, row.CreatedAt, row.ExpiresAt);
}

/// <summary>A part of a file.</summary>
/// <param name="Sha256">In hexadecimal; in the answer to who has sent it.</param>
public sealed record DatasetPartView(int Number, long Bytes, string? Sha256);
