namespace FineTuneService.Storage;

/// <summary>Where the numbers of jobs with <c>report_to</c> go besides; the section <c>Sinks</c> of appsettings.json, which API and workers must agree on.</summary>
public sealed class SinkSettings
{
    /// <summary>Null: there is none.</summary>
    public MlflowSettings? Mlflow { get; init; }
}

/// <summary>An MLflow tracking server.</summary>
public sealed class MlflowSettings
{
    /// <summary>Such as <c>http://mlflow:5000</c>.</summary>
    public required Uri TrackingUri { get; init; }

    /// <summary>The experiment of all runs; null: one for each project, by its name.</summary>
    public string? Experiment { get; init; }

    /// <summary>Sent as a bearer token; better given as <c>Sinks__Mlflow__Token</c>.</summary>
    public string? Token { get; init; }

    /// <summary>With <see cref="Password"/>, in place of a token.</summary>
    public string? Username { get; init; }
    public string? Password { get; init; }

    /// <summary>How often it is told.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long after a job's end it is tried to tell a server that is away.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromDays(1);
}
