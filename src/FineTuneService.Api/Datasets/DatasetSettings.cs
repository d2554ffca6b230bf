using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.Datasets;

/// <summary>Section <c>Datasets</c>.</summary>
public sealed class DatasetSettings
{
    /// <summary>Largest file that may be uploaded; a larger one is refused with 413.</summary>
    [Range(1, long.MaxValue)]
    public long MaxBytes { get; init; } = 10L << 30;

    /// <summary>How long the parts of an upload wait for the rest; then they are deleted.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "30.00:00:00")]
    public TimeSpan UploadLifetime { get; init; } = TimeSpan.FromDays(1);
}
