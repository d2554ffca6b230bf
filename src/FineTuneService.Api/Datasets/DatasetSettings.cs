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

    /// <summary>Whether each dataset gets a report as soon as it is there.</summary>
    public bool ReportOnUpload { get; init; } = true;

    /// <summary>Reports and cleanings that this process does at the same time, each in a child process; 0: it leaves them to other hosts.</summary>
    [Range(0, 64)]
    public int Preparations { get; init; } = 1;

    /// <summary>A host that is silent for so long has lost what it was preparing: another begins anew.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan PreparationLease { get; init; } = TimeSpan.FromSeconds(30);
}
