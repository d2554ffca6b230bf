using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>A line of a warm model's process (<c>finetune VERB MODEL --stdin</c>). The first says that it is ready, or has the faults of its model.</summary>
public record ModelReply
{
    public bool? Ready { get; init; }

    /// <summary>Why the request is refused; nothing more comes of it.</summary>
    public IReadOnlyList<Fault>? Faults { get; init; }

    /// <summary>No further line answers the same request.</summary>
    [JsonIgnore]
    public virtual bool IsLast => true;
}
