namespace FineTuneService.Storage.Artifacts;

/// <summary>Section <c>Storage:S3</c>: a bucket of Amazon's or of anything that speaks as S3 does.</summary>
public sealed class S3Settings
{
    /// <summary>Of another provider, such as <c>https://minio.example.org</c>; null: Amazon's of the region.</summary>
    public string? Endpoint { get; init; }

    public required string Bucket { get; init; }

    /// <summary>Before the names of all objects, such as <c>finetune/</c>.</summary>
    public string Prefix { get; init; } = "";

    public string Region { get; init; } = "us-east-1";

    /// <summary>With <see cref="SecretKey"/>; null: what the environment gives, such as the role of the machine.</summary>
    public string? AccessKey { get; init; }

    public string? SecretKey { get; init; }

    /// <summary>The bucket's name stands in the path rather than in the host's name; most servers that are not Amazon's want it.</summary>
    public bool ForcePathStyle { get; init; }
}
