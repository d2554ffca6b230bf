namespace FineTuneService.Contracts;

/// <summary>Where a sweep stands.</summary>
public enum SweepStatus
{
    /// <summary>It has jobs that have not ended, or trials that wait. Any worker moves it on.</summary>
    Running,

    /// <summary>Ended: it has a best job.</summary>
    Succeeded,

    /// <summary>Ended, and no job has come to a metric.</summary>
    Failed,

    /// <summary>Ended on request; jobs that had ended before keep their results.</summary>
    Cancelled,
}
