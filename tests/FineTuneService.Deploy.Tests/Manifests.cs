using k8s;
using k8s.Models;

namespace FineTuneService.Deploy.Tests;

/// <summary>deploy/kubernetes, read into Kubernetes' own types, which refuse a member that they do not know.</summary>
internal static class Manifests
{
    private static readonly Dictionary<string, Type> Extensions = new()
    {
        ["keda.sh/v1alpha1/ScaledObject"] = typeof(ScaledObject),
        ["keda.sh/v1alpha1/TriggerAuthentication"] = typeof(TriggerAuthentication),
        ["kustomize.config.k8s.io/v1beta1/Kustomization"] = typeof(Kustomization),
    };

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "deploy", "kubernetes");

    public static string[] Files { get; } = [.. Directory.EnumerateFiles(Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    public static IReadOnlyList<object> All { get; } = [.. Files.SelectMany(file => Read(File.ReadAllText(Path.Combine(Folder, file))))];

    public static V1ConfigMap Settings { get; } = Of<V1ConfigMap>().Single();

    public static IEnumerable<T> Of<T>() => All.OfType<T>();

    /// <summary>Every pod that is made, with its maker's name.</summary>
    public static IReadOnlyList<(string Name, V1PodTemplateSpec Pod)> Pods { get; } =
    [
        .. Of<V1Deployment>().Select(deployment => (deployment.Metadata.Name, deployment.Spec.Template)),
        .. Of<V1Job>().Select(job => (job.Metadata.Name, job.Spec.Template)),
    ];

    public static IEnumerable<object> Read(string yaml) => KubernetesYaml.LoadAllFromString(yaml, Extensions, strict: true);
}
