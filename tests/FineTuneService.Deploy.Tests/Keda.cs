using k8s.Models;

namespace FineTuneService.Deploy.Tests;

// What of KEDA's resources (keda.sh/v1alpha1) there is to write; its CRDs refuse or drop anything else.

public sealed class ScaledObject
{
    public string ApiVersion { get; set; } = "";
    public string Kind { get; set; } = "";
    public V1ObjectMeta Metadata { get; set; } = new();
    public ScaledObjectSpec Spec { get; set; } = new();
}

public sealed class ScaledObjectSpec
{
    public ScaleTarget ScaleTargetRef { get; set; } = new();
    public int? PollingInterval { get; set; }
    public int? CooldownPeriod { get; set; }
    public int? InitialCooldownPeriod { get; set; }
    public int? IdleReplicaCount { get; set; }
    public int? MinReplicaCount { get; set; }
    public int? MaxReplicaCount { get; set; }
    public AdvancedConfig? Advanced { get; set; }
    public List<ScaleTrigger> Triggers { get; set; } = [];
}

public sealed class ScaleTarget
{
    public string Name { get; set; } = "";
    public string? ApiVersion { get; set; }
    public string? Kind { get; set; }
}

public sealed class AdvancedConfig
{
    public bool? RestoreToOriginalReplicaCount { get; set; }
    public AutoscalerConfig? HorizontalPodAutoscalerConfig { get; set; }
}

public sealed class AutoscalerConfig
{
    public string? Name { get; set; }
    public V2HorizontalPodAutoscalerBehavior? Behavior { get; set; }
}

public sealed class ScaleTrigger
{
    public string Type { get; set; } = "";
    public string? Name { get; set; }
    public Dictionary<string, string> Metadata { get; set; } = [];
    public TriggerAuthenticationReference? AuthenticationRef { get; set; }
    public string? MetricType { get; set; }
}

public sealed class TriggerAuthenticationReference
{
    public string Name { get; set; } = "";
    public string? Kind { get; set; }
}

public sealed class TriggerAuthentication
{
    public string ApiVersion { get; set; } = "";
    public string Kind { get; set; } = "";
    public V1ObjectMeta Metadata { get; set; } = new();
    public TriggerAuthenticationSpec Spec { get; set; } = new();
}

public sealed class TriggerAuthenticationSpec
{
    public List<SecretTarget> SecretTargetRef { get; set; } = [];
}

public sealed class SecretTarget
{
    public string Parameter { get; set; } = "";
    public string Name { get; set; } = "";
    public string Key { get; set; } = "";
}

/// <summary>kustomize.config.k8s.io/v1beta1, as far as we use it.</summary>
public sealed class Kustomization
{
    public string ApiVersion { get; set; } = "";
    public string Kind { get; set; } = "";
    public string Namespace { get; set; } = "";
    public List<string> Resources { get; set; } = [];
    public List<KustomizedImage> Images { get; set; } = [];
}

public sealed class KustomizedImage
{
    public string Name { get; set; } = "";
    public string? NewName { get; set; }
    public string? NewTag { get; set; }
}
