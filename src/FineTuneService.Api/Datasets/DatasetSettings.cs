using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.Datasets;

/// <summary>Section <c>Datasets</c>.</summary>
public sealed class DatasetSettings
{
    /// <summary>Largest file that may be uploaded; a larger one is refused with 413.</summary>
    [Range(1, long.MaxValue)]
    public long MaxBytes { get; init; } = 10L << 30;
}
